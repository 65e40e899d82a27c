"""Check TensorRT, GPU, CUDA and Python packages, and build a small plan.

Each problem comes with its fix, and the command exits with 1. What only some commands need is a
note where it is missing.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pluginkit.cli import options
from pluginkit.distribution import pip_install
from pluginkit.errors import PluginkitError
from pluginkit.quantities import bytes_text, counted


@dataclass(frozen=True)
class Diagnosis:
    """The state of one part of the installation.

    Attributes:
        subject: the part.
        state: ``"ok"``; ``"note"`` where only some commands lack something; ``"problem"``.
        text: what was found.
        fix: what the user can do about it.
    """

    subject: str
    state: Literal["ok", "note", "problem"]
    text: str
    fix: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    options.add_discovery(parser)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Check everything."""
    from pluginkit.cli.terminal_output import print_json, print_table

    findings = [*_tensorrt(), *_gpu(), *_cuda(), *_compilers(), *_packages(), *_discovery(args)]
    findings += _sample_build()
    if args.json:
        print_json([dataclasses.asdict(one) for one in findings])
    else:
        rows = [
            (one.subject, one.state, one.text + (f"\nFix: {one.fix}" if one.fix else ""))
            for one in findings
        ]
        print_table("pluginkit doctor", ("", "", ""), rows)
    return 1 if any(one.state == "problem" for one in findings) else 0


def _tensorrt() -> Iterator[Diagnosis]:
    from pluginkit.trt.flavour import FLAVOURS, available_flavours, load_flavour

    installed = available_flavours()
    for name in FLAVOURS:
        if name not in installed:
            continue
        try:
            flavour = load_flavour(name)
        except PluginkitError as error:
            yield Diagnosis(name, "problem", error.message, error.fix or "")
            continue
        yield Diagnosis(name, "ok", f"{flavour.version}: {', '.join(_abilities(name))}")
    if not installed:
        yield Diagnosis("TensorRT", "problem", "none is installed", "pip install tensorrt-rtx")


def _abilities(name: str) -> Iterator[str]:
    from pluginkit.engine.build.compute_capabilities import (
        supported_capabilities,
        text_from_capability,
    )
    from pluginkit.trt.flavour import load_flavour

    flavour = load_flavour(name)
    if not flavour.has_builder:
        yield "runs engines, builds none"
    elif flavour.needs_gpu_to_build:
        yield "builds engines for this machine's GPU"
    else:
        supported = ", ".join(map(text_from_capability, supported_capabilities(flavour)))
        yield f"builds engines without a GPU, for compute capability {supported}"
    if flavour.has_parser and not flavour.parser_takes_v2:
        yield "its ONNX parser takes IPluginV3 plugins only"


def _gpu() -> Iterator[Diagnosis]:
    from pluginkit.device.gpus import find_driver
    from pluginkit.engine.build.compute_capabilities import text_from_capability

    driver = find_driver()
    if driver is None:
        yield Diagnosis(
            "GPU",
            "note",
            "no NVIDIA driver: rewrite, build with tensorrt_rtx and compare work, run does not",
            "run plans on a machine with a GPU.",
        )
        return
    version = ".".join(map(str, driver.cuda_version))
    if driver.cuda_version < (13, 0):
        text = f"supports CUDA up to {version}; pluginkit's kernels are compiled with CUDA 13"
        yield Diagnosis(
            "NVIDIA driver", "problem", text, "install a driver of branch 580 or newer."
        )
    else:
        yield Diagnosis("NVIDIA driver", "ok", f"supports CUDA up to {version}")
    if not driver.gpus:
        yield Diagnosis("GPU", "problem", "the driver finds none", "check nvidia-smi.")
    for gpu in driver.gpus:
        capability = text_from_capability(gpu.compute_capability)
        size = f"{gpu.memory_bytes / 2**30:.0f} GiB"
        text = f"{gpu.name}, compute capability {capability}, {size}"
        yield Diagnosis("GPU", "ok", text)
        yield from _unsupported(gpu.compute_capability)


def _unsupported(capability: tuple[int, int]) -> Iterator[Diagnosis]:
    from pluginkit.engine.build.compute_capabilities import (
        supported_capabilities,
        text_from_capability,
    )
    from pluginkit.trt.flavour import available_flavours, load_flavour

    try:
        if "tensorrt_rtx" not in available_flavours():
            return
        flavour = load_flavour("tensorrt_rtx")
    except PluginkitError:
        return  # reported as a flavour that does not load
    if capability not in supported_capabilities(flavour):
        yield Diagnosis(
            "GPU",
            "note",
            f"tensorrt_rtx does not support compute capability {text_from_capability(capability)}",
            f"{pip_install('tensorrt')} to run plans on this GPU.",
        )


_EXTRA = pip_install("cuda")


def _cuda() -> Iterator[Diagnosis]:
    for subject, module, purpose in (
        ("cupy", "cupy", "brings NVRTC"),
        ("numba-cuda", "numba.cuda", "compiles numba kernels"),
        ("cuda-bindings", "cuda.bindings.driver", "loads kernels"),
        ("llvmlite", "llvmlite.binding", "compiles what launches kernels"),
        ("NVRTC", "cuda.bindings.nvrtc", "CUDA's run-time compiler"),
        ("NVVM", "cuda.bindings.nvvm", "numba's code generator"),
    ):
        try:
            imported = importlib.import_module(module)
            version = _library_version(subject, imported)
        except ImportError:
            yield Diagnosis(subject, "note", f"not installed; {purpose}", _EXTRA)
        except (
            Exception
        ) as error:  # a broken CUDA package fails in many ways, and must not end the check
            text = f"installed, and fails: {type(error).__name__}: {error}"
            yield Diagnosis(subject, "problem", text, f"{_EXTRA} --force-reinstall")
        else:
            yield Diagnosis(subject, "ok", f"{version}: {purpose}")


def _library_version(subject: str, module: object) -> str:
    if subject == "NVRTC":
        status, major, minor = module.nvrtcVersion()  # type: ignore[attr-defined]
        if int(status) != 0:
            raise RuntimeError(f"nvrtcVersion returned {status}")
        return f"{major}.{minor}"
    if subject == "NVVM":
        return ".".join(map(str, module.version()))  # type: ignore[attr-defined]
    if subject == "cupy":
        return str(module.__version__)  # type: ignore[attr-defined]
    return importlib.metadata.version(subject)


def _compilers() -> Iterator[Diagnosis]:
    """The C++ compilers of export and of standalone plans, for this processor and for Jetsons."""
    from pluginkit.export.compile.compiler import find_compiler

    purpose = "makes plugins into libraries: pluginkit export, pluginkit build --standalone"
    for subject, arch in (("g++", None), ("g++ for aarch64", "aarch64")):
        try:
            found = find_compiler(arch)
        except PluginkitError as error:
            yield Diagnosis(subject, "note", f"not installed; {purpose}", error.fix or "")
        else:
            yield Diagnosis(subject, "ok", f"{found.version}: {purpose}")


def _packages() -> Iterator[Diagnosis]:
    for name in (
        "numpy",
        "onnx",
        "onnx-graphsurgeon",
        "onnxruntime",
        "polygraphy",
        "ml_dtypes",
    ):
        try:
            yield Diagnosis(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Diagnosis(name, "problem", "not installed", f"pip install {name}")


def _discovery(args: argparse.Namespace) -> Iterator[Diagnosis]:
    from pluginkit.cli.found_classes import plugins_of, rewrites_of

    try:
        plugins, rewrites = plugins_of(args), rewrites_of(args)
    except PluginkitError as error:
        yield Diagnosis("plugins", "problem", error.message, error.fix or "")
        return
    except ModuleNotFoundError as error:
        text = f"cannot be looked for: package '{error.name}' is not installed"
        yield Diagnosis("plugins", "problem", text, pip_install())
        return
    for broken in args.broken_modules:
        yield Diagnosis("plugins", "problem", broken.message, broken.fix or "")
    yield Diagnosis(
        "plugins",
        "ok",
        f"{counted(len(plugins), 'plugin')} and {counted(len(rewrites), 'rewrite')} found",
    )


#: TensorRT refuses this node, because its own ScatterElements has no reductions.
_SAMPLE = """<ir_version: 10, opset_import: ["" : 18]>
sample (float[N, 4] data, int64[M, 4] indices, float[M, 4] updates) => (float[N, 4] y) {
    y = ScatterElements <axis = 0, reduction = "max"> (data, indices, updates)
}"""


def _sample_build() -> Iterator[Diagnosis]:
    """Build a plan of a node that becomes a plugin: rewrite, registry, parser, builder, files."""
    import tempfile
    from pathlib import Path

    import onnx.parser

    from pluginkit.engine import build_engine
    from pluginkit.trt.flavour import load_flavour

    try:
        if not load_flavour().has_builder:
            return
        with tempfile.TemporaryDirectory(prefix="pluginkit-") as folder:
            model = Path(folder) / "sample.onnx"
            onnx.save(onnx.parser.parse_model(_SAMPLE), model)
            result = build_engine(model)
            size = result.plan_path.stat().st_size
    except PluginkitError as error:
        yield Diagnosis("sample build", "problem", error.message, error.fix or "")
    else:
        text = f"ScatterElements(reduction=max) became a plan of {bytes_text(size)}"
        yield Diagnosis("sample build", "ok", f"{text} in {result.seconds:.1f} s")
