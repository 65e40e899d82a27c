"""Pack kernel arguments for the CUDA driver; the pointers are filled in at each enqueue.

A CUDA C++ kernel has one parameter for each argument. A numba kernel has several for each array:
meminfo, parent, nitems, itemsize, data, shape and strides; and one for each element of a tuple.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

from pluginkit.contract import dtypes
from pluginkit.contract.dims import known, product
from pluginkit.contract.dtypes import DType, Scalar
from pluginkit.contract.launches import CudaKernel, KernelArgument, Launch
from pluginkit.contract.tensors import Slot, TensorDesc, Workspace
from pluginkit.errors import KernelError
from pluginkit.tracing.numbers import TracedInt

#: One kernel parameter: a pointer that the enqueue fills in, or bytes passed by value.
PackedArgument = Slot | bytes

_WORD = 8
#: The characters of ``struct`` for the types that need no numpy to become bytes.
_CHARACTERS = {
    "int8": "b", "int32": "i", "int64": "q", "uint32": "I", "uint64": "Q", "float32": "f",
    "float16": "e",
}  # fmt: skip
_NULL = bytes(_WORD)


class TracedBytes(bytes):
    """Room for the bytes of a scalar whose values a recording computes."""

    scalar: Scalar

    @property
    def packing(self) -> str:
        """How ``struct`` packs the values."""
        return f"{len(self.scalar.values)}{_CHARACTERS[self.scalar.dtype.name]}"


@dataclass(frozen=True)
class ArgumentType:
    """The type of a numba kernel's argument.

    Attributes:
        dtype: the element type's name; bfloat16, which numba lacks, is uint16.
        ndim: the number of dimensions of an array, None for a value.
        count: the length of a tuple of values, 1 for a single value.
    """

    dtype: str
    ndim: int | None = None
    count: int = 1

    def __str__(self) -> str:
        if self.ndim is not None:
            return f"{self.dtype}[{', '.join(':' * self.ndim)}]"
        return self.dtype if self.count == 1 else f"{self.dtype}x{self.count}"


def scalar_from_value(kernel: str, value: KernelArgument) -> Scalar:
    """Return a bare Python value as a Scalar: bool, int as int64, float as float32.

    Errors:
        PK303: the value is no kernel argument.
    """
    if isinstance(value, Scalar):
        return value
    if isinstance(value, bool):
        return dtypes.bool_(value)
    if isinstance(value, int):
        return dtypes.int64(value)
    if isinstance(value, float):
        return dtypes.float32(value)
    raise _refusal(
        kernel, f"{value!r} of type {type(value).__name__}", "a tensor, workspace, int or float"
    )


def argument_types(kernel: str, args: Sequence[KernelArgument]) -> tuple[ArgumentType, ...]:
    """Return the types of a numba kernel's arguments.

    Errors:
        PK303: numba cannot take an argument.
    """
    return tuple(_argument_type(kernel, argument) for argument in args)


def _argument_type(kernel: str, argument: KernelArgument) -> ArgumentType:
    if isinstance(argument, TensorDesc):
        return ArgumentType(word_dtype(argument.dtype), argument.ndim)
    if isinstance(argument, Workspace):
        return ArgumentType("uint8", 1)
    scalar = scalar_from_value(kernel, argument)
    if scalar.dtype is dtypes.bfloat16:
        raise _refusal(kernel, "a bfloat16 value", "float32(x), since numba has no bfloat16")
    return ArgumentType(scalar.dtype.name, None, len(scalar.values))


def word_dtype(dtype: DType) -> str:
    """Return the numpy name of the type in which a numba kernel sees elements of ``dtype``."""
    return "uint16" if dtype is dtypes.bfloat16 else dtype.name


def parameters(launch: Launch) -> list[PackedArgument]:
    """Return the kernel's parameters in order.

    Errors:
        PK303: an argument has a type or a value that cannot be passed.
    """
    name = launch.kernel.name
    if isinstance(launch.kernel, CudaKernel):
        return [
            argument.slot if type(argument) is TensorDesc else _cuda_parameter(name, argument)
            for argument in launch.args
        ]
    return [part for argument in launch.args for part in _numba_parameters(name, argument)]


def _cuda_parameter(kernel: str, argument: KernelArgument) -> PackedArgument:
    if isinstance(argument, (TensorDesc, Workspace)):
        return argument.slot
    if argument is None:
        return _NULL
    if type(argument) is int and -(2**63) <= argument < 2**63:  # as most are
        return argument.to_bytes(_WORD, "little", signed=True)
    scalar = argument if type(argument) is Scalar else scalar_from_value(kernel, argument)
    return packed(kernel, scalar)


def _numba_parameters(kernel: str, argument: KernelArgument) -> list[PackedArgument]:
    if isinstance(argument, TensorDesc):
        shape = [known(dim) for dim in argument.shape]
        return _array_fields(argument.slot, shape, argument.dtype.itemsize)
    if isinstance(argument, Workspace):
        return _array_fields(argument.slot, [argument.nbytes], 1)
    scalar = scalar_from_value(kernel, argument)
    if TracedInt in map(type, scalar.values):
        return [packed(kernel, Scalar(scalar.dtype, (value,))) for value in scalar.values]
    image, size = packed(kernel, scalar), scalar.dtype.itemsize
    return [image[at : at + size] for at in range(0, len(image), size)]


def _array_fields(data: Slot, shape: list[int], itemsize: int) -> list[PackedArgument]:
    nitems = known(product(shape))
    inner_sizes = accumulate(reversed(shape[1:]), operator.mul, initial=itemsize)
    strides = list(inner_sizes)[::-1] if shape else []
    numbers = [_cuda_parameter("", n) for n in (nitems, itemsize, *shape, *strides)]
    return [_NULL, _NULL, *numbers[:2], data, *numbers[2:]]


@cache
def _packer(dtype: str, count: int) -> Callable[..., bytes] | None:
    """Return what packs so many values of a type, or None if numpy has to."""
    character = _CHARACTERS.get(dtype)
    return struct.Struct(f"<{count}{character}").pack if character and count else None


def packed(kernel: str, scalar: Scalar) -> bytes:
    """Return the bytes of a scalar's values."""
    values: Sequence[Any] = scalar.values
    pack = _packer(scalar.dtype.name, len(values))
    if pack is not None and TracedInt in map(type, values):
        traced = TracedBytes(scalar.dtype.itemsize * len(values))
        traced.scalar = scalar
        return traced
    if pack is not None:
        try:  # as suppress() takes as long as to pack
            return pack(*values)
        except (struct.error, OverflowError, TypeError):
            pass  # numpy knows what becomes of them
    import numpy as np

    if not values:
        raise _refusal(kernel, f"an empty {scalar.dtype.name} sequence", "at least one value")
    try:
        if not scalar.dtype.is_floating:
            values = [operator.index(value) for value in values]
        return np.array(values, scalar.dtype.numpy).tobytes()
    except (TypeError, ValueError, OverflowError) as error:
        raise _unpackable(kernel, scalar, error) from error


def _unpackable(kernel: str, scalar: Scalar, error: Exception) -> KernelError:
    got = f"{scalar.dtype.name}{scalar.values} ({error})"
    return _refusal(kernel, got, "values of that type")


def _refusal(kernel: str, got: str, expected: str) -> KernelError:
    return KernelError(
        "PK303",
        f"kernel '{kernel}': argument is {got}; expected {expected}.",
        fix="in launches(), pass the tensors it was given, and numbers as int32(n), float32(x) "
        "or bare Python values; a list of numbers as float32(values), which CUDA C++ takes as a "
        "struct of an array.",
    )


def check_parameters(
    owner: str, kernel: str, listed: Sequence[PackedArgument], expected: tuple[int, ...]
) -> None:
    """Compare the arguments of a launch with the compiled kernel's parameters.

    Args:
        owner: the plugin class's name.
        kernel: the kernel's name.
        listed: the parameters that the launch passes.
        expected: the bytes of each parameter.

    Errors:
        PK306: they differ in number or size.
    """
    given = tuple([len(part) if isinstance(part, bytes) else _WORD for part in listed])
    if given != expected:
        raise KernelError(
            "PK306",
            f"{owner}: the arguments of '{kernel}' have {list(given)} bytes; "
            f"the kernel's parameters have {list(expected)}.",
            fix="a bare int is 64 bits wide and a bare float 32; write int32(n) for an int.",
        )
