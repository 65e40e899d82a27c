"""Export models that people export, build them with TensorRT-RTX, and compare.

    python benchmarks/exports.py export FOLDER    # needs torch, torchvision, torch_geometric,
                                                  # transformers, skl2onnx, onnxmltools, lightgbm,
                                                  # xgboost, catboost and onnxruntime
    python benchmarks/exports.py build FOLDER     # needs tensorrt_rtx
    python benchmarks/exports.py page             # writes exports.md

The models are those of exported_models.py, exported_operators.py, exported_indexing.py,
exported_signals.py, exported_networks.py, exported_architectures.py, exported_heads.py,
exported_generative.py and exported_scripts.py, from both of torch's exporters, of
exported_estimators.py and of exported_quantized.py. Models that an exporter or ONNX Runtime refuses
are left out.
``build`` tries each model unchanged, and those that TensorRT refuses again with every rewrite. In
results/exports.json the results of models that are not named are kept. A model is equal if the
rewritten model has the outputs of ONNX Runtime on the inputs in its folder, with the plugins' numpy
references and with their kernels on the PTX machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

NAME = "exports"
RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent / "exports.md"
EXPORTERS = ("dynamo", "torchscript")
_CAPABILITY = (8, 9)
_OPSET = 20
#: IsolationForest has no later form of trees.
_ESTIMATOR_OPSETS = {"": 18, "ai.onnx.ml": 3}
_LONGEST = 240
_HEAD = """# Exported models

Made by `python benchmarks/exports.py` from [results/exports.json](results/exports.json).

Small models with operators that people export, and small networks of torch_geometric and
transformers, with random weights, by both of torch's exporters; estimators of scikit-learn by
skl2onnx, and boosted trees by their libraries; and what ONNX Runtime's quantizers and optimizers
write; and nodes as other converters write them. What an exporter or ONNX Runtime refuses is left
out. Each is built for compute capability 8.9 as it is; where TensorRT-RTX refuses that, with
pluginkit's rewrites and plugins. Equal: the rewritten model gives what ONNX Runtime gives of the
original, with the plugins' numpy references and with their kernels on the PTX machine. A model that
draws random numbers is only built.
"""


def export(folder: Path, names: list[str]) -> None:
    """Write an ONNX file, its inputs and its description for each model and exporter."""
    import numpy as np

    for name, each in _exports(names):
        try:
            path = folder / f"{name}.onnx"
            inputs, description = each(path)
            _run(path, inputs)
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            print(f"{name}: not exported: {type(error).__name__}: {first}", flush=True)
            path.unlink(missing_ok=True)
            continue
        np.savez(folder / f"{name}.npz", **inputs)
        (folder / f"{name}.json").write_text(json.dumps(description))
        print(name, flush=True)


def _run(path: Path, inputs: dict[str, Any]) -> None:
    """Run a model in ONNX Runtime, which refuses some exports."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    session.run(None, inputs)


def _exports(names: list[str]) -> Any:
    from functools import partial

    import exported_architectures  # noqa: F401  # adds its models to MODELS
    import exported_generative  # noqa: F401
    import exported_heads  # noqa: F401
    import exported_indexing  # noqa: F401
    import exported_networks  # noqa: F401
    import exported_operators  # noqa: F401
    import exported_scripts  # noqa: F401
    import exported_signals  # noqa: F401
    from exported_boosters import boosters
    from exported_estimators import estimators
    from exported_forms import forms
    from exported_models import MODELS
    from exported_quantized import quantized

    for each in MODELS.values():
        for exporter in EXPORTERS:
            if not names or each.name in names:
                yield f"{each.name}.{exporter}", partial(_export_torch, each, exporter)
    for name, (fitted, rows) in estimators().items():
        if not names or name in names:
            yield f"{name}.skl2onnx", partial(_export_estimator, fitted, rows)
    for name, (library, boost) in boosters().items():
        if not names or name in names:
            yield f"{name}.{library}", boost
    for name, write in quantized().items():
        if not names or name in names:
            yield f"{name}.onnxruntime", write
    for name, write in forms().items():
        if not names or name in names:
            yield f"{name}.onnx", write


def _export_torch(each: Any, exporter: str, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    import torch

    torch.manual_seed(0)
    function, inputs = each.make()
    is_module = isinstance(function, (torch.nn.Module, torch.jit.ScriptFunction))
    module = function if is_module else _module(function)
    options: dict[str, Any] = {"input_names": list(inputs), "dynamo": exporter == "dynamo"}
    options["opset_version"] = _OPSET if options["dynamo"] else each.opset
    if options["dynamo"]:
        dim = torch.export.Dim.DYNAMIC
        axes = tuple(dict.fromkeys(each.dynamic.get(name, ()), dim) for name in inputs)
        options["dynamic_shapes"] = axes if is_module else (axes,)
    else:
        options["dynamic_axes"] = {name: list(axes) for name, axes in each.dynamic.items()}
    with torch.no_grad():
        if isinstance(module, torch.nn.Module):
            module.eval()
        torch.onnx.export(module, tuple(inputs.values()), str(path), **options)
    shapes = {
        name: [_range(axis in each.dynamic[name], size) for axis, size in enumerate(array.shape)]
        for name, array in inputs.items()
        if name in each.dynamic
    }
    description = {
        "exporter": exporter,
        "opset": options["opset_version"],
        "is_random": each.is_random,
        "shapes": {name: _profile(ranges) for name, ranges in shapes.items()},
    }
    return {name: array.numpy() for name, array in inputs.items()}, description


def _module(function: Any) -> Any:
    import torch

    class Called(torch.nn.Module):
        def forward(self, *inputs: Any) -> Any:
            return function(*inputs)

    return Called()


def _range(is_dynamic: bool, size: int) -> tuple[int, int, int]:
    return (max(size // 2, 1), size, 4 * size) if is_dynamic else (size, size, size)


def _profile(ranges: list[tuple[int, int, int]]) -> str:
    return ",".join("x".join(map(str, sizes)) for sizes in zip(*ranges, strict=True))


def _export_estimator(fitted: Any, rows: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    from skl2onnx import to_onnx
    from sklearn.base import is_classifier

    has_chances = is_classifier(fitted) and hasattr(fitted, "predict_proba")
    options = {id(fitted): {"zipmap": False}} if has_chances else None
    made = to_onnx(fitted, rows[:1], options=options, target_opset=_ESTIMATOR_OPSETS)
    path.write_bytes(made.SerializeToString())
    opset = next(each.version for each in made.opset_import if not each.domain)
    shape = f"1x{rows.shape[1]},8x{rows.shape[1]},64x{rows.shape[1]}"
    description = {"exporter": "skl2onnx", "opset": opset, "is_random": False}
    return {"X": rows}, description | {"shapes": {"X": shape}}


def build(folder: Path, names: list[str]) -> None:
    """Build and compare what is in the folder; write the results."""
    from record import host_environment, record

    kept = {row["model"]: row for row in _rows()}
    for path in sorted(folder.glob("*.onnx")):
        if names and path.name.split(".")[0] not in names:
            continue
        row = _attempt(path)
        kept[row["model"]] = row
        print(json.dumps(row), flush=True)
        record(NAME, host_environment(), [kept[name] for name in sorted(kept)])


def _rows(name: str = NAME) -> list[dict[str, Any]]:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["rows"] if path.is_file() else []


def _attempt(path: Path) -> dict[str, Any]:
    from pluginkit import PluginkitError

    description = json.loads(path.with_suffix(".json").read_text())
    row: dict[str, Any] = {"model": path.stem, **description, "status": "native"}
    try:
        _build(path, row["shapes"], rewrites=[])
        return row
    except PluginkitError as error:
        row["refusal"] = _summary(error)
    try:
        row |= _rewritten(path, row)
    except PluginkitError as error:
        row |= {"status": "left", "problem": _summary(error)}
    return row


def _build(path: Path, shapes: dict[str, str], **options: Any) -> Any:
    from pluginkit import BuildOptions, build_engine

    chosen = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[_CAPABILITY])
    with tempfile.TemporaryDirectory() as scratch:
        plan = Path(scratch) / "model.plan"
        return build_engine(path, plan, options=chosen, shapes=shapes, **options)


def _rewritten(path: Path, row: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    from pluginkit import compare_models, save_model

    built = _build(path, row["shapes"])
    result = built.rewrite
    done = tuple(dict.fromkeys(each.rewrite for each in result.applied))
    found: dict[str, Any] = {"rewrites": done, "status": "builds"}
    found["plugins"] = sorted(each.name for each in built.manifest.plugins)
    if row["is_random"]:
        return found
    with tempfile.TemporaryDirectory() as scratch:
        rewritten = Path(scratch) / "rewritten.onnx"
        save_model(result.model, rewritten, path)
        inputs = dict(np.load(path.with_suffix(".npz")))
        ways = [False, True] if found["plugins"] else [False]
        compared = [
            compare_models(
                path, rewritten, inputs=inputs, plugins=result.plugins, use_machine=on_machine
            ).ok
            for on_machine in ways
        ]
    return found | {"status": "equal" if all(compared) else "differs"}


def _summary(error: Exception) -> str:
    """Return an error's text in one line, without paths."""
    import re

    text = " ".join(str(error).split())
    text = re.sub(r"(?:/[\w.+-]+){2,}", "...", text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page, in Markdown."""
    statuses = ("native", "equal", "builds", "differs", "left")
    counts = {status: sum(row["status"] == status for row in rows) for status in statuses}
    refused = len(rows) - counts["native"]
    lines = [
        _HEAD,
        f"Of {len(rows)} exports TensorRT-RTX builds {counts['native']} as they are. Of the other "
        f"{refused}, pluginkit builds {refused - counts['left']}: {counts['equal']} equal, "
        f"{counts['builds']} random, {counts['differs']} different.",
        "",
        "| model | exporter | opset | TensorRT-RTX | what pluginkit does | result |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        name = row["model"].split(".")[0].replace("_", " ")
        done = ", ".join([*row.get("rewrites", ()), *row.get("plugins", ())])
        refusal = _refused(row["refusal"]) if "refusal" in row else "builds it"
        cells = (name, row["exporter"], row["opset"], refusal, done, row.get("problem", ""))
        *first, problem = (str(cell).replace("|", "\\|") for cell in cells)
        result = row["status"] + (f": {problem}" if problem else "")
        lines.append(f"| {' | '.join(first)} | {result} |")
    return "\n".join([*lines, *_detectors()]) + "\n"


def _refused(refusal: str) -> str:
    """Return the nodes that an error names, or else its cause."""
    import re

    named = re.search(r"parser refuses (.*?)\. (?:Where|Cause|Fix):", refusal)
    if named:
        return f"refuses {named[1]}"
    _, _, cause = refusal.partition("Cause: ")
    return (cause or refusal).removeprefix("IBuilder::buildSerializedNetwork: ")


def _detectors() -> list[str]:
    """Return the section of torchvision's detectors, from the results of their own script."""
    lines = [
        "",
        "## torchvision's detectors",
        "",
        "Made by `python benchmarks/torchvision_detectors.py`, with random weights and heads whose "
        "scores differ, for an image of 320 x 320. TensorRT-RTX has no kernel for the "
        "NonMaxSuppression of each.",
        "",
        "| model | plugins | builds | equal | largest error of an output |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in _rows("torchvision_detectors"):
        said = ["yes" if row[key] else "no" for key in ("built", "equal")]
        error = max((each["max_abs_error"] for each in row.get("outputs", ())), default=0.0)
        cells = (row["model"], ", ".join(row.get("plugins", ())), *said, f"{error:.1e}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main(arguments: list[str]) -> int:
    """Run one of the three commands; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["export", "build", "page"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; all by default")
    given = parser.parse_args(arguments)
    if given.command == "page":
        PAGE.write_text(page(_rows()))
        return 0
    if given.folder is None:
        parser.error(f"{given.command} needs a folder")
    given.folder.mkdir(parents=True, exist_ok=True)
    (export if given.command == "export" else build)(given.folder, given.names)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
