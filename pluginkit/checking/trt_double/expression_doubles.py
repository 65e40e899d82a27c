"""Stand-ins for the objects of TensorRT's builder that cannot be made from Python."""

from __future__ import annotations

from typing import Any

from pluginkit.contract.dims import OPERATIONS


class LookAlikeExpr:
    """Plays IDimensionExpr: unknown or constant to the plugin, with a value for the driver."""

    def __init__(self, value: int, is_known: bool) -> None:
        self.value = value
        self._is_known = is_known

    def is_constant(self) -> bool:
        """Whether the plugin may read the value."""
        return self._is_known

    def get_constant_value(self) -> int:
        """The value; the smallest int64 for an unknown one, as TensorRT answers."""
        return self.value if self._is_known else -(2**63)


class LookAlikeExprs(list[LookAlikeExpr]):
    """Plays DimsExprs."""


class LookAlikeBuilder:
    """Plays IExprBuilder, computing the value of every expression as it is built."""

    def constant(self, value: int) -> LookAlikeExpr:
        """A known dimension."""
        return LookAlikeExpr(value, True)

    def operation(self, operation: Any, a: LookAlikeExpr, b: LookAlikeExpr) -> LookAlikeExpr:
        """``operation(a, b)``; known when both are."""
        value = OPERATIONS[operation.name](a.value, b.value)
        return LookAlikeExpr(value, a.is_constant() and b.is_constant())

    def declare_size_tensor(
        self, output_index: int, opt: LookAlikeExpr, upper: LookAlikeExpr
    ) -> LookAlikeExpr:
        """A dimension that only kernels know; the driver plans for its upper bound."""
        return LookAlikeExpr(upper.value, False)
