"""Export plugins to a folder: libraries, the model, what is known about them, how to load them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluginkit
from pluginkit.current_work import scratch_prefix
from pluginkit.engine.deploy.deployed_model import DeployedModel
from pluginkit.engine.deploy.plugin_variants import plugin_variants
from pluginkit.engine.deploy.readme_text import readme_text
from pluginkit.engine.deploy.triton_repository import triton_files
from pluginkit.engine.deploy.write_folder import check_folder, write_folder
from pluginkit.engine.plan.library_record import LibraryRecord, library_record
from pluginkit.errors import UsageError
from pluginkit.export.export_library import ExportOptions, ExportResult, export_library
from pluginkit.export.progress import Report, silent
from pluginkit.export.variant import Variant
from pluginkit.onnx.inference.shape_ranges import ShapeSpec

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin
    from pluginkit.export.prove.compare import Proof

FORMAT = 1


@dataclass(frozen=True)
class Deployment:
    """A folder that was written.

    Attributes:
        folder: where it is.
        files: its files with their sizes in bytes, by path relative to the folder.
        plugins: the names of the plugins in TensorRT's registry.
        record: what is known about the library.
        proof: what was compared with the Python classes.
        left_out: calls of plugins that cannot be exported, each with the reason.
        missing: the classes of plugins of which no call that launches a kernel is in the library.
        triton: the lines that make a plan if there is none, and start Triton.
        seconds: how long it took.
    """

    folder: Path
    files: Mapping[str, int]
    plugins: tuple[str, ...]
    record: LibraryRecord
    proof: Proof
    left_out: tuple[str, ...]
    missing: tuple[str, ...]
    triton: tuple[str, ...]
    seconds: float


def export_model_folder(
    deployed: DeployedModel,
    folder: Path,
    options: ExportOptions,
    *,
    triton: Path | None = None,
    plan: bytes | None = None,
    report: Report = silent,
) -> Deployment:
    """Write the library of a model's plugins, the rewritten model and a README.

    Args:
        deployed: the model.
        folder: where the files go; made if it is not there.
        options: what the library is made for.
        triton: the folder of a Triton model repository to write too.
        plan: the plan that goes into that repository; without one its README says how to make it.
        report: called with the progress.

    Errors:
        PK525: a file cannot be written.  PK812: Triton has no such TensorRT.
        PK813: Triton's configuration cannot say what the model is.  PK406, PK407: the model.
        Otherwise as for ``export_library``.
    """
    from pluginkit.onnx.model.model_file import save_model

    if triton is not None and options.tensorrt == "rtx":
        raise UsageError(
            "PK812",
            "Triton's TensorRT backend runs TensorRT; got TensorRT-RTX.",
            fix="name the TensorRT of your Triton: --tensorrt 10.16.",
        )
    stem = deployed.source.name.removesuffix(".onnx")
    model = folder / f"{stem}.plugins.onnx"
    for each in filter(None, (folder, triton)):
        check_folder(each)
    with _staged(deployed.variants, library_name(f"{stem}_plugins"), options, report) as staged:
        staged.add_readme(model.name, deployed)
        contents = {folder / name: content for name, content in staged.contents.items()}
        lines: tuple[str, ...] = ()
        if triton is not None:
            files, lines = triton_files(deployed, triton, staged.static_library, model, plan)
            contents |= files
        folder.mkdir(parents=True, exist_ok=True)
        save_model(deployed.model, model, deployed.source)
        try:
            write_folder(contents)
        except UsageError:
            model.unlink()
            raise
        return staged.deployment(folder, [*contents, model], lines)


def export_plugin_folder(
    plugin_classes: Sequence[type[Plugin]],
    folder: Path,
    options: ExportOptions,
    *,
    types: Sequence[str] = (),
    attributes: Mapping[str, Sequence[Any]] | None = None,
    shapes: Mapping[str, ShapeSpec] | None = None,
    report: Report = silent,
) -> Deployment:
    """Write one library of whole plugins, and a README.

    Args:
        plugin_classes: the plugins.
        folder: where the files go; made if it is not there.
        options: what the library is made for. Calls that cannot be exported are left out.
        types: as for ``plugin_variants``.
        attributes: likewise.
        shapes: likewise; each plugin takes those of its own inputs.
        report: called with the progress.

    Errors:
        PK525: a file cannot be written.  PK810, PK811: as for ``plugin_variants``.
        Otherwise as for ``export_library``.
    """
    check_folder(folder)
    _check_inputs(plugin_classes, shapes or {})
    variants = [
        variant
        for cls in plugin_classes
        for variant in plugin_variants(cls, types, attributes, _shapes_of(cls, shapes or {}))
    ]
    is_one = len(plugin_classes) == 1
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plugin_classes[0].__name__).lower()
    library = library_name(name if is_one else "plugins")
    with _staged(variants, library, replace(options, leaves_out=True), report) as staged:
        staged.add_readme("MODEL.onnx", None)
        contents = {folder / path: content for path, content in staged.contents.items()}
        write_folder(contents)
        return staged.deployment(folder, list(contents), ())


def _shapes_of(cls: type[Plugin], shapes: Mapping[str, ShapeSpec]) -> dict[str, ShapeSpec]:
    names = {port.name for port in cls.spec.inputs}
    return {name: spec for name, spec in shapes.items() if name in names}


def _check_inputs(classes: Sequence[type[Plugin]], shapes: Mapping[str, ShapeSpec]) -> None:
    names = dict.fromkeys(port.name for cls in classes for port in cls.spec.inputs)
    for name in shapes:
        if name not in names:
            raise UsageError(
                "PK814",
                f"--shapes names an input '{name}'; expected one of {', '.join(names)}.",
                fix="correct --shapes.",
            )


@dataclass(frozen=True)
class _Staged:
    """A library in a temporary folder, before its files are moved to the user's."""

    name: str
    contents: dict[str, bytes]
    plugins: tuple[str, ...]
    record: LibraryRecord
    proof: Proof
    left_out: tuple[str, ...]
    missing: tuple[str, ...]
    static_library: tuple[str, bytes]
    seconds: float

    def add_readme(self, model: str, deployed: DeployedModel | None) -> None:
        profiles = () if deployed is None else deployed.profiles
        text = readme_text(self.name, self.plugins, self.record, model, profiles)
        self.contents["README.txt"] = text.encode()

    def deployment(
        self, folder: Path, paths: Sequence[Path], triton: tuple[str, ...]
    ) -> Deployment:
        files = {
            path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path): (
                path.stat().st_size
            )
            for path in paths
        }
        return Deployment(
            folder,
            files,
            self.plugins,
            self.record,
            self.proof,
            self.left_out,
            self.missing,
            triton,
            self.seconds,
        )


@contextmanager
def _staged(
    variants: Sequence[Variant], name: str, options: ExportOptions, report: Report
) -> Iterator[_Staged]:
    """Make a library in a folder that is deleted, and read its files."""
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("deploy")) as scratch:
        result = export_library(variants, Path(scratch), name, options, report)
        contents = {
            path.relative_to(scratch).as_posix(): path.read_bytes()
            for path in sorted(Path(scratch).rglob("*"))
            if path.is_file()
        }
        record = library_record(result, options)
        static = f"lib{name}_static.so"
        plugins = tuple(dict.fromkeys(one.plugin.spec.plugin_name for one in variants))
        contents[f"{name}.json"] = _description(contents, plugins, record)
        yield _Staged(
            name,
            contents,
            plugins,
            record,
            result.proof,
            tuple(f"{variant}: {error}" for variant, error in result.left_out),
            _missing(result),
            (static, contents[static]),
            result.seconds,
        )


def _missing(result: ExportResult) -> tuple[str, ...]:
    there = {type(one.plugin) for one in result.variants} if result.kernels else set()
    classes = dict.fromkeys(type(one.plugin) for one, _ in result.left_out)
    return tuple(cls.__name__ for cls in classes if cls not in there)


def _description(
    contents: Mapping[str, bytes], plugins: Sequence[str], record: LibraryRecord
) -> bytes:
    document = {
        "format": FORMAT,
        "pluginkit": pluginkit.__version__,
        "files": {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()},
        "plugins": list(plugins),
        "library": dataclasses.asdict(record),
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def library_name(text: str) -> str:
    """Return a name that linkers, CMake and backends accept: no spaces, commas or semicolons."""
    return re.sub(r"[^\w.-]", "_", text, flags=re.ASCII)
