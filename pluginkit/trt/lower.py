"""Shapes between TensorRT's IDimensionExpr and pluginkit's dimension expressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pluginkit.dims import Dim, InputDim, Operation, Shape


def shapes_from_exprs(inputs: Sequence[Any]) -> list[Shape]:
    """The shapes of TensorRT's DimsExprs: ints where constant, InputDim elsewhere."""
    return [
        tuple(
            expr.get_constant_value() if expr.is_constant() else InputDim(index, axis)
            for axis, expr in enumerate(exprs)
        )
        for index, exprs in enumerate(inputs)
    ]


def exprs_from_shape(shape: Shape, inputs: Sequence[Any], builder: Any, operations: Any) -> Any:
    """The DimsExprs of a shape.

    Args:
        shape: ints and dimension expressions over the inputs.
        inputs: the DimsExprs that TensorRT passed for the inputs.
        builder: TensorRT's IExprBuilder.
        operations: TensorRT's DimensionOperation.
    """

    def lower(dim: Dim) -> Any:
        if isinstance(dim, int):
            return builder.constant(dim)
        if isinstance(dim, InputDim):
            return inputs[dim.index][dim.axis]
        if isinstance(dim, Operation):
            operation = getattr(operations, dim.op)
            return builder.operation(operation, lower(dim.a), lower(dim.b))
        raise TypeError(f"{dim!r} is no dimension")

    # Made as TensorRT's own class, or as the look-alike that a test driver passed in.
    return type(inputs[0])([lower(dim) for dim in shape])
