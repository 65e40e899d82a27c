"""Export plugins to a library: trace, generate C++, compile, compare with Python, link."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pluginkit.errors import ExportError, UsageError
from pluginkit.export.compile.compiler import Compiler, find_compiler
from pluginkit.export.compile.library_builder import RUNTIME, LibraryBuilder, tensorrt_major
from pluginkit.export.generate.cmake_project import cmake_project
from pluginkit.export.generate.generate_library import GeneratedLibrary, generate_library
from pluginkit.export.generate.kernels import compile_modules
from pluginkit.export.progress import Report, silent
from pluginkit.export.prove.compare import Proof
from pluginkit.export.prove.prove_library import CALLS, prove_library
from pluginkit.export.trace.methods import TracedPlugin, trace_plugin
from pluginkit.export.variant import Variant
from pluginkit.kernels.cuda_packages import need


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        tensorrt: the TensorRT that loads the library: ``"8.6"``, ``"10.3"``, ``"11.1"`` or
            ``"rtx"``.
        compute_capabilities: the GPUs, without dots, ``"89"``; later GPUs compile the PTX of the
            last one.
        interface: ``"v2"`` for IPluginV2DynamicExt, ``"v3"`` for IPluginV3, ``"auto"`` for the one
            that every TensorRT of that version supports.
        arch: ``"x86_64"`` or ``"aarch64"``; by default this machine's.
        with_static: whether to also link the library that registers itself.
        with_source: whether to write the sources and a CMakeLists.txt.
        calls: how many calls the comparison makes for each variant with C++ functions of its own.
        leaves_out: whether to leave out a variant that cannot be exported instead of failing.
    """

    tensorrt: str = "rtx"
    compute_capabilities: Sequence[str] = ("86", "89", "120")
    interface: str = "auto"
    arch: str | None = None
    with_static: bool = True
    with_source: bool = False
    calls: int = CALLS
    leaves_out: bool = False


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Attributes:
        library: the library for ``loadLibrary``, ``--dynamicPlugins`` and plans.
        static_library: the library that registers itself under plain ``dlopen``, or None.
        variants: the variants in the library.
        kernels: the number of kernels; each is compiled for all GPUs.
        kernel_bytes: the size of their code.
        proof: what was compared with the Python classes.
        compiler: the version of the C++ compiler.
        left_out: the variants that cannot be exported, each with the error that says why.
        arch: the architecture of the libraries.
        cuda: the version of NVRTC, ``"13.0"``.
        sources: the SHA-256 of each source file, by its path in the sources' folder.
        sha256: the SHA-256 of each library, by name.
        seconds: how long the export took.
    """

    library: Path
    static_library: Path | None
    variants: Sequence[Variant]
    kernels: int
    kernel_bytes: int
    proof: Proof
    compiler: str
    left_out: Sequence[tuple[Variant, ExportError]]
    arch: str
    cuda: str
    sources: dict[str, str]
    sha256: dict[str, str]
    seconds: float


def export_library(
    variants: Sequence[Variant],
    folder: Path,
    name: str,
    options: ExportOptions,
    report: Report = silent,
) -> ExportResult:
    """Write ``libNAME.so``, and what else the options ask for, to a folder.

    Args:
        variants: the variants that the library is for.
        folder: the folder, which is created if needed.
        name: the library's name.
        options: the options.
        report: called with the progress.

    Errors:
        PK800 to PK803: a plugin cannot be written in C++.  PK804, PK805: the C++ compiler fails, or
        there is none.  PK806: the C++ differs from the Python class.  PK807: the TensorRT version
        is not supported.  PK809: there is nothing to export.  PK310, PK320 to PK322: a kernel
        cannot be compiled.
    """
    started = time.perf_counter()
    if not variants:
        raise UsageError(
            "PK809", "no plugin is used; expected at least one node with a plugin of pluginkit."
        )
    major, compiler = tensorrt_major(options.tensorrt), find_compiler(options.arch)
    traced, left_out = _traced(variants, not options.leaves_out, report)
    kernels = partial(compile_modules, report=report)
    library = generate_library(traced, options.compute_capabilities, kernels)
    definitions = [] if options.interface == "auto" else [_interface(options.interface)]
    folder.mkdir(parents=True, exist_ok=True)
    target, static = folder / f"lib{name}.so", folder / f"lib{name}_static.so"
    with LibraryBuilder(library.files, compiler, major, report) as builder:
        proof = _proved(library, builder, compiler, major, options, report)
        builder.link(target, definitions)
        if options.with_static:
            builder.link(static, definitions, self_registering=True)
    made = [target, *([static] if options.with_static else [])]
    if options.with_source:
        cmake = cmake_project(name, library.files, major, definitions)
        _write_sources(library, cmake, folder / "source")
    return ExportResult(
        target,
        static if options.with_static else None,
        [variant for variant in variants if variant not in [one for one, _ in left_out]],
        len(library.symbols),
        library.kernel_bytes,
        proof,
        compiler.version,
        left_out,
        compiler.arch,
        _cuda_version(),
        {name: _sha256(content) for name, content in source_files(library).items()},
        {path.name: _sha256(path.read_bytes()) for path in made},
        time.perf_counter() - started,
    )


def _traced(
    variants: Sequence[Variant], is_strict: bool, report: Report
) -> tuple[list[TracedPlugin], list[tuple[Variant, ExportError]]]:
    """Trace the variants; return the traces, and the variants that cannot be traced."""
    traced: list[TracedPlugin] = []
    left_out: list[tuple[Variant, ExportError]] = []
    too_many: dict[object, ExportError] = {}
    for number, variant in enumerate(variants):
        report("tracing methods", number, len(variants))
        sizes = variant.plugin, variant.plugin.present, variant.ranges
        if sizes in too_many:  # only its types differ: tracing it would fail again, after seconds
            left_out.append((variant, too_many[sizes]))
            continue
        try:
            traced += [trace_plugin(one) for one in variant.with_tactics()]
        except ExportError as error:
            if is_strict:
                raise
            left_out.append((variant, error))
            if error.code == "PK801":
                too_many[sizes] = error
    if not traced:
        raise left_out[0][1]
    return traced, left_out


def _interface(name: str) -> str:
    return f"PLUGINKIT_INTERFACE={name.removeprefix('v')}"


def _proved(
    library: GeneratedLibrary,
    builder: LibraryBuilder,
    compiler: Compiler,
    major: int,
    options: ExportOptions,
    report: Report,
) -> Proof:
    """Compare the library on this machine, compiled for it if it is for another architecture."""
    here = find_compiler()
    if here == compiler:
        return prove_library(library, builder, here, options.calls, report)
    with LibraryBuilder(library.files, here, major, report=report) as native:
        return prove_library(library, native, here, options.calls, report)


def source_files(library: GeneratedLibrary) -> dict[str, bytes]:
    """Return all files that a library is compiled from, the runtime included, by path."""
    runtime = {
        f"runtime/{path.name}": path.read_bytes()
        for path in sorted(RUNTIME.glob("*"))
        if path.suffix in (".h", ".cpp", ".map")
    }
    return {**library.files, **runtime}


def _write_sources(library: GeneratedLibrary, cmake: str, folder: Path) -> None:
    for path, content in {**source_files(library), "CMakeLists.txt": cmake.encode()}.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _cuda_version() -> str:
    _, major, minor = need("cuda.bindings.nvrtc").nvrtcVersion()
    return f"{major}.{minor}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
