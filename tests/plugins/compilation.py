"""Every kernel of a plugin, compiled for every architecture in a bearable time."""

from __future__ import annotations

from collections.abc import Iterable

from pluginkit import Plugin
from pluginkit.kernels.compile import ARCHITECTURES, compile_cuda
from pluginkit.kernels.specialise import CudaSpecialisation, cuda_specialisation, name_expressions


def specialisations_of(plugins: Iterable[Plugin]) -> list[CudaSpecialisation]:
    """Every specialisation of every kernel of the plugins, in a fixed order."""
    every = {
        cuda_specialisation(kernel, expression)
        for plugin in plugins
        for kernel in plugin.spec.kernels.values()
        for bindings in plugin.spec.type_bindings()
        for expression in name_expressions(kernel, plugin, bindings)
    }
    return sorted(every, key=lambda each: each.expression)


def share_of(every: list[CudaSpecialisation], arch: str) -> list[CudaSpecialisation]:
    """All of them for the oldest architecture; a share for each other, together all of them."""
    oldest, *others = ARCHITECTURES
    return every if arch == oldest else every[others.index(arch) :: len(others)]


def assert_all_compile(wanted: list[CudaSpecialisation], arch: str) -> None:
    symbols = {
        symbol
        for begin in range(0, len(wanted), 100)
        for symbol in compile_cuda(wanted[begin : begin + 100], arch).symbols
    }
    assert len(symbols) == len(wanted) > 0
