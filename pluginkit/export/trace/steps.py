"""The steps that ``launches`` returns, with expressions instead of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType
from pluginkit.contract.launches import (
    Copy,
    CudaKernel,
    Fill,
    KernelArgument,
    KernelConstant,
    Launch,
    Step,
)
from pluginkit.contract.tensors import TensorDesc, Workspace
from pluginkit.export.trace.path import Path
from pluginkit.kernels.arguments import packed, scalar_from_value
from pluginkit.kernels.specialise import specialise, type_bindings
from pluginkit.tracing.expressions import Expr
from pluginkit.tracing.numbers import TracedBool, expr_of

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin

#: A number that a kernel gets; an expression only if it depends on dimensions.
Number = Expr | float | bool


@dataclass(frozen=True)
class BufferSlice:
    """A part of a buffer.

    Attributes:
        kind: ``"input"``, ``"output"`` or ``"workspace"``.
        index: which of the inputs in device memory, or of the outputs.
        offset, nbytes: where it starts and how large it is, in bytes.
    """

    kind: str
    index: int
    offset: Expr
    nbytes: Expr


@dataclass(frozen=True)
class Values:
    """Numbers of one type; several become a struct, or that many parameters of a numba kernel."""

    dtype: DType
    numbers: tuple[Number, ...]
    is_split: bool


@dataclass(frozen=True)
class ArrayArgument:
    """A tensor argument of a numba kernel."""

    pointer: BufferSlice
    shape: tuple[Expr, ...]
    itemsize: int


#: None is a null pointer.
TracedArgument = BufferSlice | Values | ArrayArgument | None


@dataclass(frozen=True)
class TracedLaunch:
    """A launch.

    Attributes:
        kernel: the kernel's declaration, with types and constants in braces.
        number: the specialisation's number among the table's kernels.
        grid, block, shared_bytes, parameters: as in Launch.
    """

    kernel: str
    number: Expr
    grid: tuple[Expr, ...]
    block: tuple[Expr, ...]
    shared_bytes: Expr
    parameters: tuple[TracedArgument, ...]


@dataclass(frozen=True)
class TracedCopy:
    """A copy of the whole of ``source``."""

    target: BufferSlice
    source: BufferSlice


@dataclass(frozen=True)
class TracedFill:
    """A fill with one byte."""

    target: BufferSlice
    byte: Expr


TracedStep = TracedLaunch | TracedCopy | TracedFill


class StepReader:
    """Reads the steps that ``launches`` returned on one path.

    Args:
        path: the path.
        plugin: the plugin.
        inputs, outputs: the descriptions that ``launches`` got.
    """

    def __init__(
        self, path: Path, plugin: Plugin, inputs: calls.Inputs, outputs: Sequence[TensorDesc]
    ) -> None:
        self._path = path
        self._plugin = plugin
        self._bindings = type_bindings(plugin, inputs, outputs)

    def read(self, step: Step) -> TracedStep:
        """Return a step with expressions instead of traced numbers.

        Errors:
            PK300 to PK303: the step is wrong, as for concrete shapes.
        """
        if isinstance(step, Copy):
            return TracedCopy(self._pointer(step.target), self._pointer(step.source))
        if isinstance(step, Fill):
            return TracedFill(self._pointer(step.target), self._expr(step.byte))
        return self._launch(step)

    def _launch(self, launch: Launch) -> TracedLaunch:
        kernel = launch.kernel
        if isinstance(kernel, CudaKernel):
            constants = {
                name: self._constant(kernel.constants.get(name, ()), value)
                for name, value in launch.constants.items()
            }
            launch = Launch(
                kernel, launch.grid, launch.block, launch.args, launch.shared_bytes, constants
            )
        return TracedLaunch(
            kernel.name,
            self._number_of(launch),
            self._extent(launch.grid),
            self._extent(launch.block),
            self._expr(launch.shared_bytes),
            tuple(self._parameter(launch, argument) for argument in launch.args),
        )

    def _number_of(self, launch: Launch) -> Expr:
        """Return the number of a kernel; specialised once only, since that reads its files."""
        known = self._path.table.known_kernels
        key = launch.kernel, tuple(launch.constants.items())
        if isinstance(launch.kernel, CudaKernel) and key in known:
            return known[key]
        made = specialise(self._plugin, self._bindings, launch)
        known[key] = number = self._path.table.kernel(made)
        return number

    def _constant(self, declared: Sequence[KernelConstant], value: Any) -> KernelConstant:
        """Return a template argument; a path is followed for each declared value."""
        if type(value) is TracedBool:
            return bool(value)
        return next((one for one in declared if value == one), value)

    def _extent(self, size: Any) -> tuple[Expr, ...]:
        sizes = size if isinstance(size, tuple) else (size,)
        return tuple(map(self._expr, sizes))

    def _expr(self, value: Any) -> Expr:
        return expr_of(self._path, value)

    def _pointer(self, tensor: TensorDesc | Workspace) -> BufferSlice:
        slot = tensor.slot
        offset, nbytes = self._expr(slot.offset), self._expr(tensor.nbytes)
        return BufferSlice(slot.kind, slot.index, offset, nbytes)

    def _parameter(self, launch: Launch, argument: KernelArgument) -> TracedArgument:
        is_cuda = isinstance(launch.kernel, CudaKernel)
        if is_cuda and argument is None:
            return None
        if isinstance(argument, (TensorDesc, Workspace)):
            pointer = self._pointer(argument)
            if is_cuda:
                return pointer
            if isinstance(argument, Workspace):
                return ArrayArgument(pointer, (pointer.nbytes,), 1)
            shape = tuple(map(self._expr, argument.shape))
            return ArrayArgument(pointer, shape, argument.dtype.itemsize)
        name = launch.kernel.name
        scalar = scalar_from_value(name, argument)
        numbers = tuple(self._number(scalar.dtype, value) for value in scalar.values)
        if not all(isinstance(number, Expr) for number in numbers):
            packed(name, scalar)  # refuses numbers that the type cannot hold
        return Values(scalar.dtype, numbers, not is_cuda)

    def _number(self, dtype: DType, value: Any) -> Number:
        if type(value) is TracedBool:
            return value.expr
        if isinstance(value, float) or (dtype.is_floating and type(value) is int):
            return float(value)
        return value if type(value) is bool else self._expr(value)
