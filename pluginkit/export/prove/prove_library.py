"""Build a library with its probe, and compare it with the Python classes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pluginkit.current_work import scratch_prefix
from pluginkit.export.compile.compiler import Compiler
from pluginkit.export.compile.library_builder import LibraryBuilder, compiled_runtime
from pluginkit.export.generate.generate_library import GeneratedLibrary
from pluginkit.export.progress import Report, silent
from pluginkit.export.prove.compare import Proof, prove
from pluginkit.export.prove.library_side import ProbedLibrary

#: The calls for each variant with functions of its own.
CALLS = 400


def prove_library(
    library: GeneratedLibrary,
    builder: LibraryBuilder,
    compiler: Compiler,
    calls: int = CALLS,
    report: Report = silent,
) -> Proof:
    """Compare every variant of a library with its Python class.

    Args:
        library: the library.
        builder: has compiled the library for this machine.
        compiler: the compiler for this machine.
        calls: how many calls to make for each variant with functions of its own.
        report: called with the progress.

    Errors:
        PK806: they differ.
    """
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("prove")) as scratch:
        folder = Path(scratch)
        builder.link_probe(folder / "probed.so")
        driver = compiled_runtime(compiler, ["recording/driver.cpp"], [], folder)
        compiler.link([driver], folder / "recording.so")
        probed = ProbedLibrary(folder / "probed.so", folder / "recording.so", library.modules)
        return prove(library, probed.answer, calls, report)
