"""Shape expressions for shapes that are known now and for shapes known only at run time.

A dimension is an ``int`` or a :class:`DimExpr`. Authors write ``x.shape[0] + 2``, ``ceil_div(n,
4)`` or ``dim_max(a, b)``, which work for both. A DimExpr is a small tree over the
input dimensions. :func:`evaluate` computes it for concrete shapes, and
``pluginkit.trt.dimension_exprs`` turns it into TensorRT's IDimensionExpr. The operations are
exactly those of TensorRT's ``DimensionOperation``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from pluginkit.errors import TensorError, UnknownDimError


def _floor_div(a: int, b: int) -> int:
    if b == 0:
        raise TensorError("PK121", "shape expression divides by a dimension of 0.")
    return a // b


def _ceil_div(a: int, b: int) -> int:
    return -_floor_div(-a, b)


#: TensorRT's name of each operation, and its meaning on integers.
OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "SUM": lambda a, b: a + b,
    "SUB": lambda a, b: a - b,
    "PROD": lambda a, b: a * b,
    "FLOOR_DIV": _floor_div,
    "CEIL_DIV": _ceil_div,
    "MAX": lambda a, b: max(a, b),
    "MIN": lambda a, b: min(a, b),
}


@dataclass(frozen=True, eq=False)
class DimExpr:
    """A dimension that is known only at run time.

    Arithmetic makes a larger expression. A comparison or a conversion to ``int`` raises
    UnknownDimError (PK122). When :meth:`Plugin.check` raises it on symbolic shapes, pluginkit calls
    the method again once shapes are known.
    """

    def __add__(self, other: Dim) -> Dim:
        return _combine("SUM", self, other)

    def __radd__(self, other: int) -> Dim:
        return _combine("SUM", other, self)

    def __sub__(self, other: Dim) -> Dim:
        return _combine("SUB", self, other)

    def __rsub__(self, other: int) -> Dim:
        return _combine("SUB", other, self)

    def __mul__(self, other: Dim) -> Dim:
        return _combine("PROD", self, other)

    def __rmul__(self, other: int) -> Dim:
        return _combine("PROD", other, self)

    def __floordiv__(self, other: Dim) -> Dim:
        return _combine("FLOOR_DIV", self, other)

    def __rfloordiv__(self, other: int) -> Dim:
        return _combine("FLOOR_DIV", other, self)

    def __mod__(self, other: Dim) -> Dim:
        return self - (self // other) * other

    def _unknown(self, *_: object) -> NoReturn:
        raise UnknownDimError(
            "PK122",
            f"dimension {self} is known only at run time; its value was asked for.",
            fix="compute with +, -, *, //, %, ceil_div, dim_max and dim_min: they work here too.",
        )

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _unknown
    __bool__ = __int__ = __index__ = __float__ = _unknown
    __truediv__ = __rtruediv__ = __rmod__ = __pow__ = __neg__ = _unknown
    __hash__ = object.__hash__


@dataclass(frozen=True, eq=False)
class InputDim(DimExpr):
    """Dimension ``axis`` of input number ``index``, which the plugin calls ``name``."""

    index: int
    axis: int
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name or f'input{self.index}'}.shape[{self.axis}]"


@dataclass(frozen=True, eq=False)
class ShapeValue(DimExpr):
    """Value number ``index`` of the shape input called ``name``."""

    name: str
    index: int

    def __str__(self) -> str:
        return f"{self.name}[{self.index}]"


@dataclass(frozen=True, eq=False)
class SizeDim(DimExpr):
    """A dimension that only kernels know, and write to the size output called ``name``.

    TensorRT allocates memory for its upper bound ``upper`` and tunes for ``opt``.
    """

    name: str
    upper: Dim
    opt: Dim

    def __str__(self) -> str:
        return f"{self.name}, at most {self.upper}"


@dataclass(frozen=True, eq=False)
class DimOperation(DimExpr):
    """``op(a, b)`` with ``op`` a key of OPERATIONS."""

    op: str
    a: Dim
    b: Dim

    def __str__(self) -> str:
        return f"{self.op}({self.a}, {self.b})"


Dim = int | DimExpr
Shape = tuple[Dim, ...]
#: A shape whose dimensions are all numbers, or the values of a shape tensor.
ConcreteShape = tuple[int, ...]


_RIGHT_IDENTITY = {"SUM": 0, "SUB": 0, "PROD": 1, "FLOOR_DIV": 1, "CEIL_DIV": 1}
_LEFT_IDENTITY = {"SUM": 0, "PROD": 1}


def _combine(op: str, a: Dim, b: Dim) -> Dim:
    if type(a) is int and type(b) is int:  # as most are
        return OPERATIONS[op](a, b)
    if not isinstance(a, (int, DimExpr)) or not isinstance(b, (int, DimExpr)):
        return NotImplemented
    if isinstance(a, int) and isinstance(b, int):
        return OPERATIONS[op](a, b)
    if isinstance(b, int) and _RIGHT_IDENTITY.get(op) == b:
        return a
    if isinstance(a, int) and _LEFT_IDENTITY.get(op) == a:
        return b
    if a is b and op in ("MAX", "MIN"):
        return a
    return DimOperation(op, a, b)


def ceil_div(a: Dim, b: Dim) -> Dim:
    """Return ``a / b``, rounded up."""
    if type(a) is int and type(b) is int and b:  # as most are, in launches()
        return -(-a // b)
    return _combine("CEIL_DIV", a, b)


def dim_max(a: Dim, *others: Dim) -> Dim:
    """Return the largest of the dimensions."""
    for other in others:
        a = _combine("MAX", a, other)
    return a


def dim_min(a: Dim, *others: Dim) -> Dim:
    """Return the smallest of the dimensions."""
    for other in others:
        a = _combine("MIN", a, other)
    return a


def product(dims: Sequence[Dim]) -> Dim:
    """Return the number of elements of a shape; 1 for the empty shape."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def known(dim: Dim) -> int:
    """``dim`` as an int, where its value is known: in ``workspace_bytes`` and ``launches``.

    Write it where a type checker wants an int. ``int(dim)`` gives the same number, but takes it out
    of the expression that an export to C++ is made from.

    Errors:
        PK122: the value is known only at run time.
    """
    return dim if isinstance(dim, int) else operator.index(dim)


def where(condition: bool, a: int, b: int) -> int:
    """Return ``a`` if the condition holds, else ``b``, where dimensions are known.

    The same as ``a if condition else b``, but both are computed. Write it in ``workspace_bytes``
    and ``launches`` where conditions on several dimensions follow each other: an export to C++
    follows each side of an ``if`` to the end, which doubles its work each time, and writes this
    as one expression.
    """
    if condition is True or condition is False:
        return a if condition else b
    choose = getattr(condition, "choose", None)  # a comparison that an export follows
    chosen: int = (a if condition else b) if choose is None else choose(a, b)
    return chosen


def may_hold(condition: bool) -> bool:
    """Return whether a condition on known dimensions holds; an export asks whether it ever can.

    Write it where dimensions say how often a loop runs: ``while may_hold(sweep < sweeps)``. An
    export to C++ writes as many passes as any shape takes. So let ``where`` make the launches of a
    pass empty, with a grid of 0, for the shapes that do not take it.
    """
    answer = getattr(condition, "may_hold", None)  # a comparison that an export follows
    return condition if answer is None else bool(answer())


def is_static(dims: Sequence[Dim]) -> bool:
    """Whether every dimension is known now."""
    for dim in dims:  # noqa: SIM110  # a generator takes four times as long
        if not isinstance(dim, int):
            return False
    return True


def are_known(shapes: Sequence[Shape]) -> bool:
    """Whether every dimension of TensorRT's shapes is a size now, neither symbolic nor -1."""
    for shape in shapes:
        for dim in shape:
            if not isinstance(dim, int) or dim < 0:
                return False
    return True


def evaluate(
    dim: Dim,
    input_shapes: Sequence[Sequence[int]],
    values: Mapping[str, Sequence[int]] | None = None,
) -> int:
    """Return the value of ``dim`` when input ``i`` has the shape ``input_shapes[i]``.

    Args:
        dim: the dimension; a dimension that only kernels know has its upper bound.
        input_shapes: the inputs' shapes.
        values: the values of the shape inputs, by name.

    Errors:
        PK121: the expression divides by zero for these shapes.
    """
    if isinstance(dim, InputDim):
        return input_shapes[dim.index][dim.axis]
    if isinstance(dim, ShapeValue):
        return (values or {})[dim.name][dim.index]
    if isinstance(dim, SizeDim):
        return evaluate(dim.upper, input_shapes, values)
    if isinstance(dim, DimOperation):
        a = evaluate(dim.a, input_shapes, values)
        return OPERATIONS[dim.op](a, evaluate(dim.b, input_shapes, values))
    if isinstance(dim, int):
        return dim
    raise TensorError("PK123", f"shape holds {dim!r}; expected an int or a dimension expression.")


def at_upper_bound(dim: Dim) -> Dim:
    """Replace every dimension in ``dim`` that only kernels know by its upper bound."""
    if isinstance(dim, SizeDim):
        return dim.upper
    if isinstance(dim, DimOperation):
        return _combine(dim.op, at_upper_bound(dim.a), at_upper_bound(dim.b))
    return dim


def with_sizes(dim: Dim, sizes: Mapping[str, int]) -> Dim:
    """Replace every dimension in ``dim`` that only kernels know by what they wrote."""
    if isinstance(dim, SizeDim):
        return sizes[dim.name]
    if isinstance(dim, DimOperation):
        return _combine(dim.op, with_sizes(dim.a, sizes), with_sizes(dim.b, sizes))
    return dim
