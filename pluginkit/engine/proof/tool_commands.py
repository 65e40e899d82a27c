"""Write the command lines with which Polygraphy and trtexec do the same, and what they read."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.engine.deploy.export_folder import library_name
from pluginkit.engine.plan.fitting_profile import fitting_profile
from pluginkit.engine.plan.manifest import Manifest
from pluginkit.engine.plan.output_files import check_writable, write_together
from pluginkit.engine.proof.compare_plan import PlanRuns, in_plan_types, with_default
from pluginkit.onnx.inference.shape_ranges import text_from_shape
from pluginkit.onnx.model.words import NumberedWords
from pluginkit.onnx.running.output_error import Tolerance, tolerance_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]


def write_commands(
    folder: Path,
    model: Path,
    plan_path: Path,
    manifest: Manifest,
    runs: PlanRuns,
    *,
    rtol: Tolerance = None,
    atol: Tolerance = None,
) -> list[str]:
    """Write inputs and expected outputs, and return the command lines that use them.

    Polygraphy reads all runs; trtexec reads the first, times the plan, and writes its outputs.
    Both load plugins from a library: a plan with Python plugins needs one that the first line
    exports.

    Args:
        folder: where the files go; it is created. The lines go to ``commands.sh`` there.
        model: the model.
        plan_path: the plan.
        manifest: the plan's manifest.
        runs: the runs of the model.
        rtol: as for ``compare_plan``.
        atol: as for ``compare_plan``.

    Errors:
        PK525: a file cannot be written.  PK542: the inputs do not fit the plan.
    """
    from polygraphy.comparator import RunResults
    from polygraphy.json import to_json

    feeds = [in_plan_types(manifest, one) for one in runs.feeds]
    profiles = [fitting_profile(manifest.inputs, manifest.profiles, one) for one in feeds]
    results = RunResults()
    words = NumberedWords(manifest.words)
    wanted = [{name: words.numbered(one[name]) for name in one} for one in runs.wanted]
    results.add(wanted, runner_name="expected")
    first = feeds[0]
    raw = {name: folder / f"input{number}.bin" for number, name in enumerate(first)}
    limits = {
        option: _limits(wanted[0], with_default(given))
        for option, given in (("--rtol", rtol), ("--atol", atol))
    }
    lines = []
    library: list[str] = []
    if manifest.plugins and manifest.library is None:
        export = folder / "plugins"
        lines.append(_export_line(model, export, manifest))
        name = library_name(f"{model.name.removesuffix('.onnx')}_plugins")
        library = [str(export / f"lib{name}_static.so")]
    lines.append(_polygraphy_line(plan_path, folder, manifest, limits, library, profiles[0]))
    lines.append(_trtexec_line(plan_path, folder, manifest, first, raw, library, profiles[0]))
    script = "#!/bin/sh\nset -e\n" + "\n".join(lines) + "\n"
    contents = {
        folder / "inputs.json": to_json(feeds).encode(),
        folder / "expected.json": to_json(results).encode(),
        folder / "commands.sh": script.encode(),
        **{path: first[name].tobytes() for name, path in raw.items()},
    }
    check_writable(folder)
    folder.mkdir(exist_ok=True)
    write_together(contents)
    return lines


def _limits(outputs: Arrays, given: Tolerance) -> list[str]:
    """Return the tolerance of most outputs, and then those of the others by name."""
    limits = {name: tolerance_of(array.dtype.name, given) for name, array in outputs.items()}
    (usual, _), *_ = Counter(limits.values()).most_common()
    others = [f"{name}:{limit:g}" for name, limit in limits.items() if limit != usual]
    return [f"{usual:g}", *others]


def _export_line(model: Path, folder: Path, manifest: Manifest) -> str:
    version = ".".join(manifest.tensorrt.split(".")[:2])
    target = "rtx" if manifest.flavour == "tensorrt_rtx" else version
    capabilities = ",".join(manifest.compute_capabilities)
    words = ["pluginkit", "export", str(model), "-o", str(folder), "--tensorrt", target]
    return shlex.join([*words, "--compute-capability", capabilities])


def _polygraphy_line(
    plan_path: Path,
    folder: Path,
    manifest: Manifest,
    limits: Mapping[str, Sequence[str]],
    library: Sequence[str],
    profile: int,
) -> str:
    program = ["polygraphy"]
    if library:  # it looks for TensorRT when it is loaded, and polygraphy loads that later
        start = f"import {manifest.flavour}; from polygraphy.tools import main; exit(main())"
        program = ["python", "-c", start]
    words = [*program, "run", str(plan_path), "--trt", "--model-type", "engine"]
    words += ["--load-inputs", str(folder / "inputs.json")]
    words += ["--load-outputs", str(folder / "expected.json")]
    for option, values in limits.items():
        words += [option, *values]
    words += ["--plugins", *library] if library else []
    words += ["--optimization-profile", str(profile)] if profile else []
    variable = "POLYGRAPHY_USE_TENSORRT_RTX=1 " if manifest.flavour == "tensorrt_rtx" else ""
    return variable + shlex.join(words)


def _trtexec_line(
    plan_path: Path,
    folder: Path,
    manifest: Manifest,
    feeds: Arrays,
    raw: Mapping[str, Path],
    library: Sequence[str],
    profile: int,
) -> str:
    program = "tensorrt_rtx" if manifest.flavour == "tensorrt_rtx" else "trtexec"
    shape_tensors = {
        name for name, one in manifest.profiles[profile].items() if one.is_shape_tensor
    }
    shapes = ",".join(
        f"{_quoted(name)}:{text_from_shape(_sizes(array, name in shape_tensors))}"
        for name, array in feeds.items()
    )
    files = ",".join(f"{_quoted(name)}:{path}" for name, path in raw.items())
    words = [program, f"--loadEngine={plan_path}", f"--shapes={shapes}", f"--loadInputs={files}"]
    words += [f"--exportOutput={folder / 'outputs.json'}", "--separateProfileRun", "--dumpProfile"]
    words += [f"--staticPlugins={path}" for path in library]
    words += [f"--useProfile={profile}"] if profile else []
    return shlex.join(words)


def _quoted(name: str) -> str:
    """Return a name as trtexec reads it, whose own signs may be in it."""
    return f"'{name}'" if {*name} & {*":,"} else name


def _sizes(array: Array, is_shape_tensor: bool) -> list[int | None]:
    """Return what trtexec wants of an input: its shape, or the values of a shape tensor."""
    return [int(one) for one in (array.flat if is_shape_tensor else array.shape)]
