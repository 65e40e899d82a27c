"""Find what the inputs and outputs of all nodes of one operator have in common."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import onnx

from pluginkit.contract.dtypes import FLOAT_TYPES, DType, dtype_from_onnx
from pluginkit.errors import TensorError, UsageError
from pluginkit.onnx.inference.value_types import Types, dims_of
from pluginkit.onnx.model.graphs import Scope

#: Names for equal dimensions that have no name in the model.
_LETTERS = ("N", "M", "K", "L", "P", "Q", "R", "S", "U", "V", "W", "X", "Y", "Z")

#: An axis in each node: a size, a name, or a unique object if both are unknown.
AxisColumn = tuple[object, ...]
ValueKind = Literal["input", "output"]
OperatorNodes = Sequence[tuple[Scope, onnx.NodeProto]]
#: The type of a value in each node; None if it is unknown.
TypeColumn = tuple[DType | None, ...]
#: A type variable, "" for none, and its dtypes.
VariableTypes = tuple[str, tuple[DType, ...]]


@dataclass(frozen=True)
class OperatorValue:
    """An input or output of an operator, over all of its nodes.

    Attributes:
        example: its name in the first node that has it.
        dtypes: its type in each node; None where it is absent or the type is unknown.
        axes: its axes; None if a rank is unknown, or differs between nodes.
        is_everywhere: whether every node has it.
    """

    example: str
    dtypes: TypeColumn
    axes: tuple[AxisColumn, ...] | None
    is_everywhere: bool

    @property
    def is_float(self) -> bool:
        """Whether all known types are floating-point."""
        return all(dtype is None or dtype.is_floating for dtype in self.dtypes)


def values_of(nodes: OperatorNodes, types: Types, kind: ValueKind) -> list[OperatorValue]:
    """Return the inputs or outputs of nodes of one operator.

    Errors:
        PK643: a value has a type that no plugin can have.
    """
    lists = [node.input if kind == "input" else node.output for _, node in nodes]
    unique = itertools.count()
    found = []
    for position in range(max(map(len, lists), default=0)):
        names = [each[position] if position < len(each) else "" for each in lists]
        protos = [
            types.find(scope, name) if name else None
            for (scope, _), name in zip(nodes, names, strict=True)
        ]
        shapes = [_keys(proto, unique) for proto, name in zip(protos, names, strict=True) if name]
        known = [shape for shape in shapes if shape is not None]
        is_known = len(known) == len(shapes) and len(set(map(len, known))) == 1
        example = next(filter(None, names), "")
        found.append(
            OperatorValue(
                example,
                tuple(_dtype(proto, name) for proto, name in zip(protos, names, strict=True)),
                tuple(zip(*known, strict=True)) if is_known else None,
                all(names),
            )
        )
    return found


def _keys(proto: onnx.TypeProto | None, unique: Iterator[int]) -> list[object] | None:
    dims = dims_of(proto)
    return None if dims is None else [_key(dim, unique) for dim in dims]


def _key(dim: onnx.TensorShapeProto.Dimension, unique: Iterator[int]) -> object:
    """Return a key that is equal for equal dimensions."""
    if dim.dim_value > 0:
        return int(dim.dim_value)
    return dim.dim_param or (next(unique),)


def _dtype(proto: onnx.TypeProto | None, name: str) -> DType | None:
    if proto is None or not proto.tensor_type.elem_type:
        return None
    try:
        return dtype_from_onnx(proto.tensor_type.elem_type)
    except TensorError as error:
        kind = onnx.TensorProto.DataType.Name(proto.tensor_type.elem_type).lower()
        raise UsageError(
            "PK643",
            f"'{name}' is {kind}, which no plugin can have.",
            fix="write a plugin for other types between casts, without --from.",
        ) from error


class AxisNames:
    """Labels of axes: a number, or a name that equal axes share."""

    def __init__(self, values: Sequence[OperatorValue]) -> None:
        columns = [column for value in values for column in value.axes or ()]
        self._names: dict[AxisColumn, str] = {}
        for column in dict.fromkeys(columns):
            if self.size(column) is not None:
                continue
            given = column[0] if isinstance(column[0], str) else ""
            if given or columns.count(column) > 1:
                self._names[column] = self._free(re.sub(r"\W", "_", given, flags=re.ASCII))

    def _free(self, given: str) -> str:
        taken = set(self._names.values())
        names = [given, *(f"{given}{at}" for at in range(2, 100))] if given.isidentifier() else []
        return next(name for name in itertools.chain(names, _LETTERS, _more()) if name not in taken)

    @staticmethod
    def size(column: AxisColumn) -> int | None:
        """Return the size of an axis if it is the same in every node, or None."""
        first = column[0]
        return first if isinstance(first, int) and len(set(column)) == 1 else None

    def item(self, column: AxisColumn) -> int | str | None:
        """Return the declaration of an axis."""
        size = self.size(column)
        return self._names.get(column) if size is None else size

    def shape(self, value: OperatorValue) -> tuple[int | str | None, ...] | None:
        """Return the declaration of a value's shape, or None."""
        return None if value.axes is None else tuple(map(self.item, value.axes))


def _more() -> Iterator[str]:
    return (f"D{number}" for number in itertools.count())


def variables_of(
    values: Sequence[OperatorValue],
) -> dict[TypeColumn, tuple[str, tuple[DType, ...]]]:
    """Return the type variable ("" for a fixed type) and the dtypes, for types in all nodes."""
    found: dict[TypeColumn, VariableTypes] = {}
    floats, others = itertools.count(1), itertools.count(1)
    for value in values:
        known = tuple(dict.fromkeys(dtype for dtype in value.dtypes if dtype is not None))
        if value.dtypes in found or not known:
            continue
        if value.is_float:
            found[value.dtypes] = _numbered("T", next(floats)), FLOAT_TYPES
        elif len(known) == 1:
            found[value.dtypes] = "", known
        else:
            found[value.dtypes] = _numbered("I", next(others)), known
    return found


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}{number}"
