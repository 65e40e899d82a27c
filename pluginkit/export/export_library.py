"""Make libraries for some calls of plugins: generate, compile, compare with Python, link."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pluginkit.errors import ExportError, UsageError
from pluginkit.export.compile.compiler import Compiler, find_compiler
from pluginkit.export.compile.library_builder import RUNTIME, LibraryBuilder, tensorrt_major
from pluginkit.export.generate.generate_library import GeneratedLibrary, generate_library
from pluginkit.export.prove.compare import Proof
from pluginkit.export.prove.session import CALLS, prove_library
from pluginkit.export.trace.methods import TracedPlugin, trace_plugin
from pluginkit.export.variant import Variant


@dataclass(frozen=True)
class ExportOptions:
    """What a library is made for.

    Attributes:
        tensorrt: the TensorRT that loads it: ``"8.6"``, ``"10.3"``, ``"11.1"`` or ``"rtx"``.
        compute_capabilities: the GPUs, without dots, ``"89"``; later ones compile the PTX of the
            last.
        interface: ``"v2"`` for IPluginV2DynamicExt, ``"v3"`` for IPluginV3, ``"auto"`` for the one
            that every TensorRT of that version takes.
        arch: ``"x86_64"`` or ``"aarch64"``; this machine's unless given.
        with_static: whether to make the library that registers itself, too.
        with_source: whether to write the sources and a CMakeLists.txt.
        calls: for each variant, how many are put to both sides of the comparison.
        leaves_out: whether a call that cannot be exported is left out; it is an error otherwise.
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
    """What was made.

    Attributes:
        library: for ``loadLibrary``, ``--dynamicPlugins`` and plans.
        static_library: registers itself under plain ``dlopen``; None where it was not asked for.
        variants: the calls that it is for.
        kernels: how many kernels it holds, for all GPUs each.
        kernel_bytes: the size of their code.
        proof: what was compared with the Python classes.
        compiler: the version of the C++ compiler.
        left_out: calls that cannot be exported, each with the error that says why.
        sha256: of each file, by name.
        seconds: how long it took.
    """

    library: Path
    static_library: Path | None
    variants: Sequence[Variant]
    kernels: int
    kernel_bytes: int
    proof: Proof
    compiler: str
    left_out: Sequence[tuple[Variant, ExportError]] = ()
    sha256: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def export_library(
    variants: Sequence[Variant], folder: Path, name: str, options: ExportOptions
) -> ExportResult:
    """Write ``libNAME.so``, and what else was asked for, to a folder.

    Args:
        variants: the calls that the library is for.
        folder: where it goes; made if it is not there.
        name: the library's name.
        options: what it is made for.

    Errors:
        PK800 to PK803: a plugin cannot be written in C++.  PK804, PK805: the compiler.
        PK806: the C++ differs from the Python class.  PK807: the TensorRT version.
        PK809: there is nothing to export.  PK310, PK320 to PK322: kernels.
    """
    started = time.perf_counter()
    if not variants:
        raise UsageError(
            "PK809", "no plugin is used; expected at least one node with a plugin of pluginkit."
        )
    major, compiler = tensorrt_major(options.tensorrt), find_compiler(options.arch)
    traced, left_out = _traced(variants, is_strict=not options.leaves_out)
    library = generate_library(traced, options.compute_capabilities)
    definitions = [] if options.interface == "auto" else [_interface(options.interface)]
    folder.mkdir(parents=True, exist_ok=True)
    target, static = folder / f"lib{name}.so", folder / f"lib{name}_static.so"
    proof = _proved(library, compiler, major, options)
    with LibraryBuilder(library.files, compiler, major, definitions) as builder:
        builder.link(target)
        if options.with_static:
            builder.link(static, self_registering=True)
    made = [target, *([static] if options.with_static else [])]
    if options.with_source:
        write_sources(library, folder / "source")
    return ExportResult(
        target,
        static if options.with_static else None,
        [variant for variant in variants if variant not in [one for one, _ in left_out]],
        len(library.symbols),
        library.kernel_bytes,
        proof,
        compiler.version,
        left_out,
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made},
        time.perf_counter() - started,
    )


def _traced(
    variants: Sequence[Variant], *, is_strict: bool
) -> tuple[list[TracedPlugin], list[tuple[Variant, ExportError]]]:
    """The variants' traces, and those that have none."""
    traced: list[TracedPlugin] = []
    left_out: list[tuple[Variant, ExportError]] = []
    for variant in variants:
        try:
            traced += [trace_plugin(one) for one in variant.with_tactics()]
        except ExportError as error:
            if is_strict or (variant is variants[-1] and not traced):
                raise
            left_out.append((variant, error))
    return traced, left_out


def _interface(name: str) -> str:
    return f"PLUGINKIT_INTERFACE={name.removeprefix('v')}"


def _proved(
    library: GeneratedLibrary, compiler: Compiler, major: int, options: ExportOptions
) -> Proof:
    """Compare on this machine; for another architecture its own compiler makes the C++."""
    here = find_compiler()
    with LibraryBuilder(library.files, here, major) as builder:
        return prove_library(library, builder, here, options.calls)


def write_sources(library: GeneratedLibrary, folder: Path) -> None:
    """Write a library's sources, the runtime among them."""
    for name, content in library.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for path in sorted(RUNTIME.glob("*")):
        if path.suffix in (".h", ".cpp", ".map"):
            (folder / "runtime").mkdir(exist_ok=True)
            shutil.copyfile(path, folder / "runtime" / path.name)
