"""Name kernels without compiling them; that is enough to compare launches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pluginkit.export.generate.kernels import Image, KernelModule
from pluginkit.export.generate.tree_functions import constants_of
from pluginkit.export.trace.methods import TracedPlugin
from pluginkit.export.trace.steps import ArrayArgument, TracedArgument, Values
from pluginkit.kernels.specialise import Specialisation


def named_kernels(traced: Sequence[TracedPlugin]) -> Callable[..., tuple[KernelModule, ...]]:
    """Return a replacement for ``compile_modules`` that compiles nothing.

    Args:
        traced: the traced plugins, whose launches give the sizes of parameters.
    """
    sizes: dict[Specialisation, tuple[int, ...]] = {}
    for one in traced:
        for launch in one.launches():
            listed = tuple(size for parameter in launch.parameters for size in _bytes_of(parameter))
            for number in constants_of(launch.number):
                sizes[one.kernels[number]] = listed

    def modules(
        owner: str, wanted: Sequence[Specialisation], capabilities: Sequence[str]
    ) -> tuple[KernelModule, ...]:
        image = Image(f"{owner}.cubin", capabilities[0], False, b"no code")
        symbols = tuple(f"{owner}_{number}" for number in range(len(wanted)))
        parameters = tuple(sizes[kernel] for kernel in wanted)
        return (KernelModule(tuple(wanted), symbols, parameters, (image,)),)

    return modules


def _bytes_of(parameter: TracedArgument) -> Iterator[int]:
    """Yield the sizes of an argument's parameters; numba splits an array into several."""
    if isinstance(parameter, ArrayArgument):
        yield from [8] * (5 + 2 * len(parameter.shape))
    elif isinstance(parameter, Values):
        size, count = parameter.dtype.itemsize, len(parameter.numbers)
        yield from [size] * count if parameter.is_split else [size * count]
    else:
        yield 8
