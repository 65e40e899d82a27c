"""Compile the kernels of a plugin: a few of each for one architecture, or all for every one."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pluginkit import CudaKernel, Plugin
from pluginkit.kernels.compile import ARCHITECTURES, compile_cuda
from pluginkit.kernels.specialise import CudaSpecialisation, cuda_specialisation, name_expressions

#: Specialisations that NVRTC compiles in one go.
_AT_ONCE = 100

#: The architecture that quick tests compile for.
QUICK = "90"


def _slowly(arch: str) -> object:
    is_newest = arch == ARCHITECTURES[-1]
    return pytest.param(arch, marks=[pytest.mark.slow, *[pytest.mark.exhaustive] * (not is_newest)])


#: For a test of few kernels: one architecture, slowly the newest, and the others before a release;
#: tests/plugincheck compile the kernels of the cases for the oldest.
architectures = pytest.mark.parametrize(
    "arch", [QUICK, *(_slowly(arch) for arch in ARCHITECTURES if arch != QUICK)]
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


def few_of_each(every: list[CudaSpecialisation], count: int = 2) -> list[CudaSpecialisation]:
    """Return the given number of specialisations of every function, spread over all of them."""
    few = []
    for function in sorted({function_of(each) for each in every}):
        own = [each for each in every if function_of(each) == function]
        few += own[:: -(-len(own) // count)]
    return few


def function_of(specialisation: CudaSpecialisation) -> str:
    return specialisation.expression.partition("<")[0]


def assert_all_compile(wanted: list[CudaSpecialisation], arch: str) -> None:
    by_source: dict[str, list[CudaSpecialisation]] = {}
    for each in wanted:
        by_source.setdefault(each.code, []).append(each)
    symbols = {
        symbol
        for group in by_source.values()
        for begin in range(0, len(group), _AT_ONCE)
        for symbol in compile_cuda(group[begin : begin + _AT_ONCE], arch).symbols
    }
    assert len(symbols) == len(wanted) > 0
