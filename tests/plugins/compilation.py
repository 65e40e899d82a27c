"""Compile the kernels of a plugin: a few of each for one architecture, or all for every one.

NVRTC's front end reads kernels in a tenth of the time that their machine code takes. It
instantiates every template, so that only a mistake in inline PTX escapes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from pluginkit import CudaKernel, Plugin
from pluginkit.kernels.compile import ARCHITECTURES, compile_cuda, cuda_options
from pluginkit.kernels.nvrtc import compiled_program
from pluginkit.kernels.specialise import CudaSpecialisation, cuda_specialisation, name_expressions

#: Specialisations that NVRTC compiles in one go.
_AT_ONCE = 100

#: The architecture that quick tests compile for.
QUICK = "90"

#: NVRTC finds the same mistakes with it, in two thirds of the time.
_LITTLE_OPTIMISATION = "--Ofast-compile=mid"


#: For a test of few kernels: one architecture, and the others before a release;
#: tests/plugincheck compile the kernels of most plugins' cases for the oldest.
architectures = pytest.mark.parametrize(
    "arch",
    [
        pytest.param(arch, marks=[pytest.mark.slow, pytest.mark.exhaustive] * (arch != QUICK))
        for arch in (QUICK, *(each for each in ARCHITECTURES if each != QUICK))
    ],
)
#: For a test of all kernels, which takes minutes.
every_architecture = pytest.mark.parametrize(
    "arch",
    [
        pytest.param(arch, marks=[pytest.mark.slow, pytest.mark.exhaustive])
        for arch in ARCHITECTURES
    ],
)


def specialisations_of(plugins: Iterable[Plugin]) -> list[CudaSpecialisation]:
    """Return every specialisation of every CUDA kernel of the plugins, in a fixed order."""
    every = {
        cuda_specialisation(kernel, expression)
        for plugin in plugins
        for kernel in plugin.spec.kernels.values()
        if isinstance(kernel, CudaKernel)
        for bindings in plugin.spec.type_bindings()
        for expression in name_expressions(kernel, plugin, bindings)
    }
    return sorted(every, key=lambda each: each.expression)


def share_of(every: list[CudaSpecialisation], arch: str) -> list[CudaSpecialisation]:
    """Return all for the oldest architecture, and a share for each other; the shares are all."""
    oldest, *others = ARCHITECTURES
    return every if arch == oldest else every[others.index(arch) :: len(others)]


def few_of_each(every: list[CudaSpecialisation], count: int = 1) -> list[CudaSpecialisation]:
    """Return the given number of specialisations of every function, spread over all of them."""
    few = []
    for function in sorted({function_of(each) for each in every}):
        own = [each for each in every if function_of(each) == function]
        few += own[:: -(-len(own) // count)]
    return few


def one_of_each_type(every: list[CudaSpecialisation]) -> list[CudaSpecialisation]:
    """Return a specialisation of every function for each of its first arguments, mostly types."""
    return [*{each.expression.partition(",")[0]: each for each in every}.values()]


def function_of(specialisation: CudaSpecialisation) -> str:
    return specialisation.expression.partition("<")[0]


def assert_all_compile(wanted: list[CudaSpecialisation], arch: str) -> None:
    """Compile kernels; for QUICK, let the oldest architecture read them: it lacks intrinsics."""
    if arch == QUICK:
        assert_all_are_read(wanted, ARCHITECTURES[0])
        wanted = [replace(each, options=(*each.options, _LITTLE_OPTIMISATION)) for each in wanted]
    symbols = {
        symbol
        for group in _by_source(wanted)
        for begin in range(0, len(group), _AT_ONCE)
        for symbol in compile_cuda(group[begin : begin + _AT_ONCE], arch).symbols
    }
    assert len(symbols) == len(wanted) > 0


def assert_all_are_read(wanted: list[CudaSpecialisation], arch: str) -> None:
    """Let NVRTC's front end read every kernel, without machine code."""
    symbols = {symbol for group in _by_source(wanted) for symbol in _read(group, arch)}
    assert len(symbols) == len(wanted) > 0


def assert_few_compile(every: list[CudaSpecialisation], arch: str, count: int = 1) -> None:
    """Compile the given number of each function, and read one for each type: it may lack a header.

    For kernels of which there are so many that reading all would take minutes.
    """
    assert_all_are_read(one_of_each_type(every), arch)
    assert_all_compile(few_of_each(every, count), arch)


def assert_kernels_compile(every: list[CudaSpecialisation], arch: str, count: int = 1) -> None:
    """Compile all, or for QUICK the given number of each function and read the others."""
    if arch == QUICK:
        assert_all_are_read(every, arch)
        assert_all_compile(few_of_each(every, count), arch)
    else:
        assert_all_compile(every, arch)


def _by_source(wanted: list[CudaSpecialisation]) -> Iterable[list[CudaSpecialisation]]:
    by_source: dict[str, list[CudaSpecialisation]] = {}
    for each in wanted:
        by_source.setdefault(each.code, []).append(each)
    return by_source.values()


def _read(group: list[CudaSpecialisation], arch: str) -> list[str]:
    first = group[0]
    expressions = [each.expression for each in group]
    options = ("-ftz=true", "--fdevice-syntax-only", *cuda_options(first))
    with compiled_program(first.code, first.file, expressions, options, f"sm_{arch}") as program:
        return [program.symbol(each) for each in expressions]
