"""Describe the nodes that a rewrite looks for.

A pattern is a tree of :class:`Op`, the last node first. Authors write it as nested ``Op(...)``, or
as a function that is traced (:mod:`pluginkit.onnx.rewriting.traced_pattern`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper

from pluginkit.errors import DeclarationError
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import is_op
from pluginkit.onnx.rewriting.node_attributes import attribute_or_default


class Constant:
    """A value that the model stores: an initializer, or the output of a Constant node.

    A tensor in an external file does not match, because external files are never read.

    Args:
        name: what the match calls the value.
        value: the value to look for. A number matches one element in a tensor of any rank; an array
            must have the same shape. Rounding of the stored floating-point type is allowed for.
            None matches any value.
    """

    def __init__(self, name: str = "", value: npt.ArrayLike | None = None) -> None:
        if not isinstance(name, str):
            raise DeclarationError("PK420", f"Constant({name!r}): expected a name, a string.")
        self.name = name
        self.value = None if value is None else np.asarray(value)

    def __repr__(self) -> str:
        given = [repr(self.name)] if self.name else []
        given += [] if self.value is None else [f"value={self.value.tolist()}"]
        return f"Constant({', '.join(given)})"

    def mismatch(self, stored: onnx.TensorProto | None) -> str | None:
        """Return why ``stored`` is not the value looked for, or None if it is.

        Args:
            stored: the tensor in the model; None if the value is computed.
        """
        if stored is None:
            return "is computed; expected a constant"
        if is_external(stored):
            return "is in an external file, which is not read"
        if self.value is None:
            return None
        got = onnx.numpy_helper.to_array(stored)
        wanted = self.value
        is_one = wanted.ndim == 0 and got.size == 1
        if (is_one or got.shape == wanted.shape) and _is_close(got, wanted):
            return None
        text = str(got.tolist()) if got.size <= 8 else f"an array of shape {got.shape}"
        return f"is {text}; expected {wanted.tolist()}"


def _is_close(got: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> bool:
    """Whether all elements are equal, apart from the rounding of a floating-point type."""
    if "float" not in got.dtype.name:
        return bool(np.all(got == wanted))
    import ml_dtypes

    rounding = 2 * float(ml_dtypes.finfo(got.dtype).eps)  # type: ignore[no-untyped-call]
    return bool(np.allclose(got.astype(np.float64), wanted, rtol=rounding, atol=0, equal_nan=True))


class Optional:
    """An input that may be absent.

    Args:
        element: a name, an Op or a Constant that the input must match when it is present.
    """

    def __init__(self, element: Op | Constant | str) -> None:
        if not isinstance(element, (Op, Constant, str)) or element == "":
            raise DeclarationError(
                "PK420", f"Optional({element!r}): expected a name, an Op or a Constant."
            )
        self.element = element

    def __repr__(self) -> str:
        return f"Optional({self.element!r})"


class AnyOf:
    """Alternatives for one input, tried in order; the first that fits is taken.

    Names that only the other alternatives bind are not in the match.

    Args:
        elements: names, Ops, ``Op.output``s, Constants or AnyOfs.
    """

    def __init__(self, *elements: Op | OutputOf | Constant | AnyOf | str) -> None:
        kinds = (Op, OutputOf, Constant, AnyOf, str)
        if not elements or not all(isinstance(each, kinds) and each for each in elements):
            raise DeclarationError(
                "PK420", f"AnyOf{elements!r}: expected names, Ops, Op.outputs and Constants."
            )
        self.elements = elements

    def __repr__(self) -> str:
        return f"AnyOf({', '.join(map(repr, self.elements))})"


class OutputOf:
    """One output of a node; ``Op.output`` makes it."""

    def __init__(self, op: Op, index: int) -> None:
        self.op = op
        self.index = index

    def __repr__(self) -> str:
        return f"{self.op!r}.output({self.index})"


#: What a pattern may say about one input of a node.
PatternOperand: TypeAlias = "Op | OutputOf | Constant | Optional | AnyOf | str | None"
_OPERANDS = (str, OutputOf, Constant, Optional, AnyOf)


class Op:
    """A node to look for, and what must produce its inputs.

    ``Op("ScatterElements")`` matches any ScatterElements. ``Op("Mul", "x", Op("Sigmoid", "x"))``
    matches a Mul whose second input comes from a Sigmoid of the first; the match then knows that
    value as ``match["x"]``. More examples:

    - ``Op("Clip", "x", Optional("low"), Optional("high"))``: with or without bounds;
    - ``Op("Mul", "x", 0.5, commutative=True)``: half of x, in either order of the inputs;
    - ``Op("Mul", "x", Constant("k"))``: by a stored value, which the match calls ``k``;
    - ``Op("Softmax", "x", attributes={"axis": -1})``: also if the node leaves the axis out and the
      operator's default is -1;
    - ``Op("Resize", ..., attributes={"mode": lambda mode: mode in ("nearest", "linear")})``;
    - ``Op("Concat", "first", ...)``: with any number of further inputs;
    - ``Op("Mul", "x", AnyOf(Op("Reciprocal", "y"), Op("Div", 1, "y")))``;
    - ``split = Op("Split", "x", ...)``, then ``Op("Mul", split.output(0), Op("Sigmoid",
      split.output(1)))``: two outputs of one node.

    Args:
        op_type: the operator, or a tuple of alternatives.
        inputs: for each input a name for the value, an Op (its first output), an ``Op.output``, a
            Constant, a number (a Constant of that value), an Optional, an AnyOf, or None for an
            absent input. ``...`` at the end allows further inputs. No inputs at all allow any.
        domain: the operator's domain.
        name: what the match calls the node.
        commutative: whether the two inputs may come in either order.
        attributes: for each attribute its value, or a function that decides whether a value fits.
            The function gets None if neither the node nor the operator's defaults have the
            attribute.
        kept: whether the new nodes produce this node's outputs too. Other nodes may then read them.

    Errors:
        PK420: an argument is wrong.
    """

    def __init__(
        self,
        op_type: str | tuple[str, ...],
        *inputs: PatternOperand | float | EllipsisType,
        domain: str = "",
        name: str = "",
        commutative: bool = False,
        attributes: Mapping[str, Any] | None = None,
        kept: bool = False,
    ) -> None:
        self.op_types = op_type if isinstance(op_type, tuple) else (op_type,)
        self.inputs: tuple[PatternOperand | EllipsisType, ...] = tuple(map(_operand, inputs))
        self.domain = domain
        self.name = name
        self.commutative = commutative
        self.attributes = dict(attributes or {})
        self.kept = kept
        if not self.op_types or not all(isinstance(each, str) and each for each in self.op_types):
            raise DeclarationError("PK420", f"Op({op_type!r}): expected an op_type, a string.")
        for at, each in enumerate(self.inputs):
            is_rest = each is ... and at == len(inputs) - 1
            if not (each is None or is_rest or isinstance(each, (Op, *_OPERANDS))):
                raise DeclarationError(
                    "PK420",
                    f"{self}: input {each!r}; expected an Op, a Constant, a number, a name, an "
                    "Optional, None or, at the end, '...'.",
                )
        if commutative and (len(inputs) != 2 or inputs[1] is ...):
            raise DeclarationError("PK420", f"{self} is commutative; expected two inputs.")

    def __repr__(self) -> str:
        parts = [*map(repr, self.op_types)]
        parts += ["..." if each is ... else repr(each) for each in self.inputs]
        if self.attributes:
            parts.append(
                f"attributes={{{', '.join(map(_condition_text, self.attributes.items()))}}}"
            )
        return f"Op({', '.join(parts)})"

    def named(self, name: str, *, kept: bool = False) -> Op:
        """Give this node a name in the match, and return it.

        Args:
            name: what the match calls the node.
            kept: as in the constructor.
        """
        self.name, self.kept = name, kept
        return self

    def output(self, index: int) -> OutputOf:
        """Return one of the node's outputs, as an input for another Op.

        Errors:
            PK420: ``index`` is not an int of 0 or more.
        """
        if not isinstance(index, int) or index < 0:
            raise DeclarationError("PK420", f"{self}.output({index!r}): expected 0 or more.")
        return OutputOf(self, index)

    def fits(self, node: onnx.NodeProto) -> bool:
        """Whether the node has the right operator."""
        return node.op_type in self.op_types and is_op(node, node.op_type, self.domain)

    def attribute_mismatch(self, node: onnx.NodeProto, opset: int) -> str | None:
        """Return why the node's attributes do not fit, or None if they do."""
        for name, condition in self.attributes.items():
            value = attribute_or_default(node, name, opset)
            if callable(condition):
                if not condition(value):
                    return f"attribute '{name}' is {value!r}, which the pattern does not take"
            elif not _is_equal(value, condition):
                return f"attribute '{name}' is {value!r}; expected {condition!r}"
        return None


def _operand(given: Any) -> Any:
    """Turn a number into a Constant; everything else stays."""
    is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
    return Constant(value=given) if is_number else given


def parts_of(operand: PatternOperand | EllipsisType) -> Iterator[Op | Constant | str]:
    """Yield every node, constant and name of a pattern; what occurs twice comes twice."""
    if isinstance(operand, (str, Constant)):
        yield operand
    elif isinstance(operand, Optional):
        yield from parts_of(operand.element)
    elif isinstance(operand, AnyOf):
        for each in operand.elements:
            yield from parts_of(each)
    elif isinstance(operand, OutputOf):
        yield from parts_of(operand.op)
    elif isinstance(operand, Op):
        yield operand
        for given in operand.inputs:
            yield from parts_of(given)


def value_names(op: Op) -> set[str]:
    """Return the names that a pattern gives to values."""
    found = (
        each if isinstance(each, str) else each.name
        for each in parts_of(op)
        if not isinstance(each, Op)
    )
    return set(found) - {""}


def node_names(op: Op) -> set[str]:
    """Return the names that a pattern gives to nodes."""
    return {each.name for each in parts_of(op) if isinstance(each, Op)} - {""}


def _condition_text(condition: tuple[str, Any]) -> str:
    name, wanted = condition
    return f"{name!r}: {'a condition' if callable(wanted) else repr(wanted)}"


def _is_equal(value: Any, wanted: Any) -> bool:
    """Whether an attribute has the value; floats are compared in float32, as ONNX stores them."""
    if value is None or isinstance(value, str) or isinstance(wanted, str):
        return bool(value == wanted)
    got, expected = np.asarray(value), np.asarray(wanted)
    if got.dtype.kind == "f":
        got, expected = got.astype(np.float32), expected.astype(np.float32)
    return got.shape == expected.shape and bool(np.all(got == expected))
