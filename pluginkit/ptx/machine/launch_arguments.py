"""The parameters of a launch, and the memory of the variables that its kernel uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pluginkit.errors import KernelError
from pluginkit.ptx.code.program import Program
from pluginkit.ptx.demangle import demangled
from pluginkit.ptx.memory.buffers import Buffer, Memory, Pointer
from pluginkit.ptx.memory.regions import Region
from pluginkit.ptx.text.immediates import number
from pluginkit.ptx.text.parse import ParsedModule
from pluginkit.ptx.text.syntax import Immediate, Symbol
from pluginkit.ptx.types import DTYPES, U8, Array

#: An argument of a kernel: a buffer, an address in one, raw bytes, or a numpy scalar.
LaunchArgument = Buffer | Pointer | bytes | np.generic


def packed_arguments(program: Program, arguments: Sequence[LaunchArgument]) -> dict[str, Array]:
    """Return the bytes of each parameter.

    Errors:
        PK352: the arguments do not fit.
    """
    given = [_bytes_of(argument) for argument in arguments]
    sizes, wanted = [len(each) for each in given], list(program.parameter_sizes)
    if sizes != wanted:
        raise KernelError(
            "PK352",
            f"kernel '{program.function.name}': arguments have {sizes} bytes; expected {wanted}.",
        )
    parameters = program.function.parameters
    return {
        parameter.name: np.frombuffer(each, U8)
        for parameter, each in zip(parameters, given, strict=True)
    }


def _bytes_of(argument: LaunchArgument) -> bytes:
    if isinstance(argument, (Buffer, Pointer)):
        return argument.address.to_bytes(8, "little")
    return argument if isinstance(argument, bytes) else argument.tobytes()


@dataclass(frozen=True)
class PrivateSizes:
    """The memory that each block and each thread has.

    Attributes:
        shared: the bytes of each variable of a block.
        dynamic: those of them in dynamic shared memory, which all begin at the same address.
        local: the bytes of each variable of a thread.
    """

    shared: dict[str, int]
    dynamic: frozenset[str]
    local: dict[str, int]

    @property
    def static_bytes(self) -> int:
        """The static shared memory of a block, in bytes."""
        return sum(size for name, size in self.shared.items() if name not in self.dynamic)


def private_sizes(program: Program, shared_bytes: int) -> PrivateSizes:
    """Return the sizes of the shared and local variables that a kernel uses.

    Args:
        program: the kernel.
        shared_bytes: the dynamic shared memory of a block.
    """
    declared = {**program.module.variables, **program.function.variables}.values()
    used = [each for each in declared if each.name in program.slots.named_variables]
    shared = [each for each in used if each.space == "shared"]
    return PrivateSizes(
        {each.name: each.nbytes or shared_bytes for each in shared},
        frozenset(each.name for each in shared if not each.nbytes),
        {each.name: each.nbytes for each in used if each.space in ("local", "param")},
    )


def static_region(module: ParsedModule, name: str, memory: Memory) -> Region:
    """Return the region of a variable of the module; it is allocated on first use."""
    region = memory.statics.get((module, name))
    if region is not None:
        return region
    variable = module.variables[name]
    region = memory.add(demangled(name), variable.nbytes, "static", is_written=True)
    memory.statics[module, name] = region
    dtype: np.dtype[Any] = DTYPES[variable.type]
    view = region.view(dtype)
    for index, value in enumerate(variable.values or ()):
        if isinstance(value, Immediate):
            view[index] = number(value.text, dtype, variable.type)
        elif isinstance(value, Symbol) and value.name in module.variables:
            view[index] = static_region(module, value.name, memory).base + value.offset
        elif isinstance(value, Symbol) and module.function_address(value.name) is not None:
            view[index] = module.function_address(value.name)
    return region
