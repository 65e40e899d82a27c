"""What a rewrite looks for: nodes, what stands before them, and what they must be like."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx.defs
import onnx.helper
import onnx.numpy_helper

from pluginkit.errors import DeclarationError
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import is_op


class Constant:
    """A value that the model stores: an initializer, or what a Constant node gives.

    What is in an external file does not match, since it is never read.

    Args:
        name: what the match calls the value.
        value: what it must be: a number, for one element in any rank, or an array, of that shape.
            It may differ by the rounding of the stored type. None for any value.
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

    def why_not(self, stored: onnx.TensorProto | None) -> str | None:
        """Why what the model stores, if anything, is not the value looked for, or None."""
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
    """Whether all elements are equal, but for the rounding of a floating-point type."""
    if "float" not in got.dtype.name:
        return bool(np.all(got == wanted))
    import ml_dtypes

    rounding = 2 * float(ml_dtypes.finfo(got.dtype).eps)  # type: ignore[no-untyped-call]
    return bool(np.allclose(got.astype(np.float64), wanted, rtol=rounding, atol=0, equal_nan=True))


class Optional:
    """An input that may be absent; the match then has an empty tensor for its name.

    Args:
        element: what the input is when it is there: a name, an Op or a Constant.
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
    """A value that may come about in several ways; the first that fits counts.

    What the other ways name is then not in the match.

    Args:
        elements: the ways, each a name, an Op, an ``Op.output``, a Constant or an AnyOf.
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
    """One of a node's outputs, as ``Op.output`` gives it."""

    def __init__(self, op: Op, index: int) -> None:
        self.op = op
        self.index = index

    def __repr__(self) -> str:
        return f"{self.op!r}.output({self.index})"


#: What stands for one input of a node.
Element: TypeAlias = "Op | OutputOf | Constant | Optional | AnyOf | str | None"
_ELEMENTS = (str, OutputOf, Constant, Optional, AnyOf)


class Op:
    """A node to look for, with what must stand before it.

    ``Op("ScatterElements")`` is any ScatterElements. ``Op("Mul", "x", Op("Sigmoid", "x"))`` is a
    Mul whose second input comes from a Sigmoid, both reading one value, which the match then knows
    as ``match["x"]``. More by example:

    - ``Op("Clip", "x", Optional("low"), Optional("high"))``: with or without its bounds;
    - ``Op("Mul", "x", Constant("half", value=0.5), commutative=True)``: half of x, either way
      round, the 0.5 an initializer or a Constant;
    - ``Op("Softmax", "x", attributes={"axis": -1})``: with that axis, also where the node leaves it
      out and the operator's default is that;
    - ``Op("Resize", ..., attributes={"mode": lambda mode: mode in ("nearest", "linear")})``;
    - ``Op("Concat", "first", ...)``: with any inputs behind the first;
    - ``Op("Mul", "x", AnyOf(Op("Reciprocal", "y"), Op("Div", Constant(value=1), "y")))``;
    - ``split = Op("Split", "x", ...)``, then ``Op("Mul", split.output(0), Op("Sigmoid",
      split.output(1)))``: two outputs of one node.

    Args:
        op_type: the operator, or a tuple of several.
        inputs: for each input of the node an Op (whose first output it is), an ``Op.output``, a
            Constant, a name for the value, an Optional or an AnyOf of these, or None for an input
            that is absent; ``...`` at the end for any further inputs. Nothing at all for any
            inputs.
        domain: the operator's domain.
        name: what the match calls the node.
        commutative: whether two inputs may stand in either order.
        attributes: for each attribute the value that it must have, or a function that says whether
            a value will do; it gets None where the node has no such attribute, nor the operator a
            default.
        kept: whether the new nodes produce the node's outputs too, as they must those of the last
            node, so that they may be needed elsewhere.

    Errors:
        PK420: it cannot be a pattern.
    """

    def __init__(
        self,
        op_type: str | tuple[str, ...],
        *inputs: Element | EllipsisType,
        domain: str = "",
        name: str = "",
        commutative: bool = False,
        attributes: Mapping[str, Any] | None = None,
        kept: bool = False,
    ) -> None:
        self.op_types = op_type if isinstance(op_type, tuple) else (op_type,)
        self.inputs = inputs
        self.domain = domain
        self.name = name
        self.commutative = commutative
        self.attributes = dict(attributes or {})
        self.kept = kept
        if not self.op_types or not all(isinstance(each, str) and each for each in self.op_types):
            raise DeclarationError("PK420", f"Op({op_type!r}): expected an op_type, a string.")
        for at, each in enumerate(inputs):
            is_rest = each is ... and at == len(inputs) - 1
            if not (each is None or is_rest or isinstance(each, (Op, *_ELEMENTS))):
                raise DeclarationError(
                    "PK420",
                    f"{self}: input {each!r}; expected an Op, a Constant, a name, an Optional, None"
                    " or, at the end, '...'.",
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

    def output(self, index: int) -> OutputOf:
        """An output of the node, for the inputs of another Op.

        Errors:
            PK420: no output has this number.
        """
        if not isinstance(index, int) or index < 0:
            raise DeclarationError("PK420", f"{self}.output({index!r}): expected 0 or more.")
        return OutputOf(self, index)

    def fits(self, node: onnx.NodeProto) -> bool:
        """Whether the node's operator is the one looked for."""
        return node.op_type in self.op_types and is_op(node, node.op_type, self.domain)

    def why_not(self, node: onnx.NodeProto, opset: int) -> str | None:
        """Why the node's attributes are not those looked for, or None."""
        for name, condition in self.attributes.items():
            value = _attribute_value(node, name, opset)
            if callable(condition):
                if not condition(value):
                    return f"attribute '{name}' is {value!r}, which the pattern does not take"
            elif not _is_equal(value, condition):
                return f"attribute '{name}' is {value!r}; expected {condition!r}"
        return None


def _condition_text(condition: tuple[str, Any]) -> str:
    name, wanted = condition
    return f"{name!r}: {'a condition' if callable(wanted) else repr(wanted)}"


def _attribute_value(node: onnx.NodeProto, name: str, opset: int) -> Any:
    """The node's attribute, or else the operator's default, or None."""
    found = next((each for each in node.attribute if each.name == name), None)
    if found is None:
        return _default(node.op_type, node.domain, opset, name)
    return _decoded(found)


def _decoded(attribute: onnx.AttributeProto) -> Any:
    if attribute.ref_attr_name or not attribute.type:
        return None
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, onnx.TensorProto) and not is_external(value):
        return onnx.numpy_helper.to_array(value)
    if attribute.type == onnx.AttributeProto.STRINGS:
        return [each.decode(errors="replace") for each in value]
    return value


@cache
def _default(op_type: str, domain: str, opset: int, name: str) -> Any:
    try:
        schema = onnx.defs.get_schema(op_type, opset, "" if domain == "ai.onnx" else domain)
    except onnx.defs.SchemaError:
        return None
    declared = schema.attributes.get(name)
    return None if declared is None else _decoded(declared.default_value)


def _is_equal(value: Any, wanted: Any) -> bool:
    """Whether an attribute has the value; ONNX stores floats in 32 bits."""
    if value is None or isinstance(value, str) or isinstance(wanted, str):
        return bool(value == wanted)
    got, expected = np.asarray(value), np.asarray(wanted)
    if got.dtype.kind == "f":
        got, expected = got.astype(np.float32), expected.astype(np.float32)
    return got.shape == expected.shape and bool(np.all(got == expected))
