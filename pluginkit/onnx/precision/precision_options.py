"""Say which precision a model gets, and report what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper

from pluginkit.errors import UsageError
from pluginkit.onnx.inference.element_types import elem_type

Array = npt.NDArray[Any]

#: Where a converted model says in which type it computes.
METADATA_KEY = "pluginkit.precision"


@dataclass(frozen=True)
class Precision:
    """The 16-bit type that a model gets, and what stays in float32.

    Attributes:
        dtype: ``"float16"`` or ``"bfloat16"``.
        keep: patterns as in a shell; a node whose name, or one of whose outputs, matches stays.
        keep_ops: op_types whose nodes stay, besides those that stay anyway.
        convert_io: whether the model's inputs and outputs get the type too.
        inputs: sets of inputs to run the model on; nodes whose values leave the type's range stay.
    """

    dtype: Literal["float16", "bfloat16"]
    keep: Sequence[str] = ()
    keep_ops: Sequence[str] = ()
    convert_io: bool = False
    inputs: Sequence[Mapping[str, Array]] = ()

    @property
    def elem_type(self) -> int:
        """The type as ONNX's number."""
        return elem_type(self.dtype)

    @property
    def largest(self) -> float:
        """The largest finite number of the type."""
        return float(self._limits.max)

    @property
    def smallest(self) -> float:
        """The smallest positive number that the type holds in full precision."""
        return float(self._limits.smallest_normal)

    @property
    def _limits(self) -> np.finfo[np.floating]:
        if self.dtype == "float16":
            return np.finfo(np.float16)
        import ml_dtypes

        finfo: Any = ml_dtypes.finfo
        limits: np.finfo[np.floating] = finfo(ml_dtypes.bfloat16)
        return limits

    def named(self, node: onnx.NodeProto) -> str | None:
        """Return what names this node among the nodes to keep, or None."""
        if node.op_type in self.keep_ops:
            return node.op_type
        names = [name for name in (node.name, *node.output) if name]
        matches = (each for each in self.keep if any(fnmatchcase(name, each) for name in names))
        return next(matches, None)


@dataclass(frozen=True)
class KeptNode:
    """A node that stays in float32.

    Attributes:
        node: its op_type and its name.
        where: the graph that it is in.
        reason: why it stays.
    """

    node: str
    where: str
    reason: str


@dataclass
class PrecisionReport:
    """What a conversion did.

    Attributes:
        dtype: the 16-bit type.
        converted: how many nodes compute in it.
        casts: how many casts were added.
        kept: the nodes that stay in float32 and could compute in 16 bits.
    """

    dtype: str
    converted: int = 0
    casts: int = 0
    kept: list[KeptNode] = field(default_factory=list)

    @property
    def reasons(self) -> Mapping[str, int]:
        """How many nodes stay for each reason."""
        return Counter(each.reason for each in self.kept)


def check_names(precision: Precision, nodes: list[onnx.NodeProto]) -> None:
    """Refuse a name that keeps nothing, which is likely misspelled.

    Errors:
        PK460: no node has the name or the op_type.
    """
    op_types = sorted({node.op_type for node in nodes})
    for each in precision.keep_ops:
        if each not in op_types:
            raise UsageError(
                "PK460",
                f"no node of the model is a '{each}'; expected one of {', '.join(op_types)}.",
                fix="leave it out of --keep-ops.",
            )
    for each in precision.keep:
        if all(Precision(precision.dtype, [each]).named(node) is None for node in nodes):
            raise UsageError(
                "PK460",
                f"no node, and no output of one, is called '{each}'.",
                fix="name one as pluginkit view shows it; * stands for any text.",
            )


def precision_of(model: onnx.ModelProto) -> str:
    """Return the type in which a converted model computes; "" for any other model."""
    return next((each.value for each in model.metadata_props if each.key == METADATA_KEY), "")


def inputs_in_declared_types(
    model: onnx.ModelProto, inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """Return inputs in the floating-point types that a converted model declares."""
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    narrow = {elem_type(name) for name in ("float16", "bfloat16")}
    return {
        name: array.astype(onnx.helper.tensor_dtype_to_np_dtype(types[name]))
        if types.get(name) in narrow
        else array
        for name, array in inputs.items()
    }
