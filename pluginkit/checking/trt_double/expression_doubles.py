"""Doubles of IDimensionExpr, DimsExprs and IExprBuilder, which Python cannot construct."""

from __future__ import annotations

from typing import Any

from pluginkit.contract.dims import OPERATIONS


class ExprDouble:
    """An IDimensionExpr: constant or unknown to the plugin, with a value for the driver."""

    def __init__(self, value: int, is_known: bool) -> None:
        self.value = value
        self._is_known = is_known

    def is_constant(self) -> bool:
        """Return whether the plugin may read the value."""
        return self._is_known

    def get_constant_value(self) -> int:
        """Return the value, or the smallest int64 for an unknown one, as TensorRT does."""
        return self.value if self._is_known else -(2**63)


class ExprsDouble(list[ExprDouble]):
    """A DimsExprs."""


class ExprBuilderDouble:
    """An IExprBuilder that computes the value of every expression when it is built."""

    def constant(self, value: int) -> ExprDouble:
        """Return a known dimension."""
        return ExprDouble(value, True)

    def operation(self, operation: Any, a: ExprDouble, b: ExprDouble) -> ExprDouble:
        """Return ``operation(a, b)``, which is known when both operands are."""
        value = OPERATIONS[operation.name](a.value, b.value)
        return ExprDouble(value, a.is_constant() and b.is_constant())

    def declare_size_tensor(
        self, output_index: int, opt: ExprDouble, upper: ExprDouble
    ) -> ExprDouble:
        """Return a dimension that only kernels know; the driver plans for its upper bound."""
        return ExprDouble(upper.value, False)
