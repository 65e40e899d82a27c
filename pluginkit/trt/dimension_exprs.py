"""Convert shapes between TensorRT's IDimensionExpr and pluginkit's dimension expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pluginkit.contract.dims import Dim, DimOperation, InputDim, Shape, ShapeValue, SizeDim


def shapes_from_exprs(inputs: Sequence[Any]) -> list[Shape]:
    """Return the shapes of TensorRT's DimsExprs: int for a constant, InputDim for anything else."""
    return [
        tuple(
            expr.get_constant_value() if expr.is_constant() else InputDim(index, axis)
            for axis, expr in enumerate(exprs)
        )
        for index, exprs in enumerate(inputs)
    ]


def values_from_exprs(name: str, exprs: Sequence[Any]) -> Shape:
    """Return the values of a shape input, which TensorRT passes as dimensions."""
    return tuple(
        expr.get_constant_value() if expr.is_constant() else ShapeValue(name, index)
        for index, expr in enumerate(exprs)
    )


class Lowering:
    """Turn shapes into DimsExprs, for one callback.

    Args:
        inputs: the DimsExprs that TensorRT passed for the inputs.
        shape_inputs: the DimsExprs that it passed for the shape inputs, by name.
        sizes: the output index of each size output, by name.
        builder: TensorRT's IExprBuilder.
        operations: TensorRT's DimensionOperation.
    """

    def __init__(
        self,
        inputs: Sequence[Any],
        shape_inputs: Mapping[str, Any],
        sizes: Mapping[str, int],
        builder: Any,
        operations: Any,
    ) -> None:
        self._inputs = inputs
        self._shape_inputs = shape_inputs
        self._sizes = sizes
        self._builder = builder
        self._operations = operations
        self._declared: dict[str, Any] = {}

    def exprs(self, shape: Shape) -> Any:
        """Return the DimsExprs of a shape."""
        # The class of the input: TensorRT's own, or the one of a test double.
        return type(self._inputs[0])([self._lower(dim) for dim in shape])

    def _lower(self, dim: Dim) -> Any:
        if isinstance(dim, int):
            return self._builder.constant(dim)
        if isinstance(dim, InputDim):
            return self._inputs[dim.index][dim.axis]
        if isinstance(dim, ShapeValue):
            return self._shape_inputs[dim.name][dim.index]
        if isinstance(dim, SizeDim):
            return self._size(dim)
        if isinstance(dim, DimOperation):
            operation = getattr(self._operations, dim.op)
            return self._builder.operation(operation, self._lower(dim.a), self._lower(dim.b))
        raise TypeError(f"{dim!r} is no dimension")

    def _size(self, dim: SizeDim) -> Any:
        if dim.name not in self._declared:  # TensorRT refuses to declare an output twice
            self._declared[dim.name] = self._builder.declare_size_tensor(
                self._sizes[dim.name], self._lower(dim.opt), self._lower(dim.upper)
            )
        return self._declared[dim.name]
