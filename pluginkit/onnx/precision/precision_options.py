"""Say which precision a model gets, and report what became of it."""

from __future__ import annotations

import math
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


@dataclass(frozen=True, kw_only=True)
class NodeChoice:
    """Which nodes stay in float32 because the user says so.

    Attributes:
        keep: patterns as in a shell; a node whose name, or one of whose outputs, matches stays.
        keep_ops: op_types whose nodes stay, besides those that stay anyway.
    """

    keep: Sequence[str] = ()
    keep_ops: Sequence[str] = ()

    def named(self, node: onnx.NodeProto) -> str | None:
        """Return what names this node among the nodes to keep, or None."""
        if node.op_type in self.keep_ops:
            return node.op_type
        return next((each for each in self.keep if is_called(node, each)), None)


def is_called(node: onnx.NodeProto, pattern: str) -> bool:
    """Whether a node's name, or one of its outputs, is like a pattern."""
    return any(fnmatchcase(name, pattern) for name in (node.name, *node.output) if name)


@dataclass(frozen=True)
class Precision(NodeChoice):
    """The 16-bit type that a model gets, and what stays in float32.

    Attributes:
        dtype: ``"float16"`` or ``"bfloat16"``.
        convert_io: whether the model's inputs and outputs get the type too.
        inputs: sets of inputs to run the model on; nodes whose values leave the type's range stay.
    """

    dtype: Literal["float16", "bfloat16"]
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


@dataclass(frozen=True)
class Quantization(NodeChoice):
    """How a model is quantized to int8.

    Attributes:
        inputs: sets of inputs that the ranges are measured on, and the loss.
        ranges: ranges by value, which go before those that are measured.
    """

    inputs: Sequence[Mapping[str, Array]] = ()
    ranges: Mapping[str, float] | None = None


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


@dataclass(frozen=True)
class OutputLoss:
    """How far an output is from what it was in float32, on the given inputs.

    Attributes:
        name: the output.
        largest_error: the largest difference of a number.
        largest_value: the largest magnitude in float32.
        signal_to_noise_db: ten times the logarithm of the mean square over that of the difference;
            infinite if one of the two is 0.
    """

    name: str
    largest_error: float
    largest_value: float
    signal_to_noise_db: float

    @classmethod
    def between(cls, name: str, expected: Array, got: Array) -> OutputLoss:
        """Measure the loss of an output."""
        wanted = expected.astype(np.float64)
        error = got.astype(np.float64) - wanted
        signal, noise = float(np.sum(wanted**2)), float(np.sum(error**2))
        decibels = 10 * math.log10(signal / noise) if signal and noise else math.inf
        largest_error, largest_value = (
            float(np.abs(each).max(initial=0)) for each in (error, wanted)
        )
        return cls(name, largest_error, largest_value, decibels)


@dataclass
class PrecisionReport:
    """What a conversion did.

    Attributes:
        dtype: the 16-bit type, or ``"int8"``.
        converted: how many nodes compute in it.
        casts: how many casts were added, or QuantizeLinear nodes.
        kept: the nodes that stay in float32 and could compute in fewer bits.
        losses: what quantization costs, for each output.
    """

    dtype: str
    converted: int = 0
    casts: int = 0
    kept: list[KeptNode] = field(default_factory=list)
    losses: list[OutputLoss] = field(default_factory=list)

    @property
    def reasons(self) -> Mapping[str, int]:
        """How many nodes stay for each reason."""
        return Counter(each.reason for each in self.kept)


def check_names(choice: NodeChoice, nodes: list[onnx.NodeProto]) -> None:
    """Refuse a name that keeps nothing, which is likely misspelled.

    Errors:
        PK460: no node has the name or the op_type.
    """
    op_types = sorted({node.op_type for node in nodes})
    for each in choice.keep_ops:
        if each not in op_types:
            raise UsageError(
                "PK460",
                f"no node of the model is a '{each}'; expected one of {', '.join(op_types)}.",
                fix="leave it out of --keep-ops.",
            )
    for each in choice.keep:
        if not any(is_called(node, each) for node in nodes):
            raise UsageError(
                "PK460",
                f"no node, and no output of one, is called '{each}'.",
                fix="name one as pluginkit view shows it; * stands for any text.",
            )


def check_opset(model: onnx.ModelProto, what: str, least: int) -> None:
    """Refuse a model whose opset is too old.

    Errors:
        PK463: it is older than ``least``.
    """
    opset = next((each.version for each in model.opset_import if not each.domain), 1)
    if opset < least:
        raise UsageError(
            "PK463",
            f"the model has opset {opset}; {what} needs {least} or later.",
            fix="export it with a later opset.",
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
