"""Write types, tensors and attributes as the short texts that the page shows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx.inference.element_types import dtype_of_elem_type
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.weightless_model import type_of_tensor

#: Characters of a name or an attribute that the page carries.
LONGEST = 300
#: Elements of a constant that the page shows; a larger one is a weight.
_MOST_ELEMENTS = 16

_KINDS = onnx.AttributeProto.AttributeType


def cut(text: str, longest: int = LONGEST) -> str:
    """Return ``text``, or its beginning if it is long."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def text_of_type(value_type: onnx.TypeProto) -> str:
    """Return a type as text: ``float[n×64]``, ``float[…]`` of unknown rank, ``sequence(...)``."""
    kind = value_type.WhichOneof("value")
    if kind in ("tensor_type", "sparse_tensor_type"):
        tensor = getattr(value_type, kind)
        text = dtype_of_elem_type(tensor.elem_type) if tensor.elem_type else "?"
        text += f"[{_dims(tensor)}]"
        return text if kind == "tensor_type" else f"sparse {text}"
    if kind in ("sequence_type", "optional_type"):
        inner = text_of_type(getattr(value_type, kind).elem_type)
        return f"{kind.removesuffix('_type')}({inner})"
    if kind == "map_type":
        key = dtype_of_elem_type(value_type.map_type.key_type)
        return f"map({key}, {text_of_type(value_type.map_type.value_type)})"
    return "?" if kind is None else kind.removesuffix("_type")


def _dims(tensor: Any) -> str:
    if not tensor.HasField("shape"):
        return "…"
    return "×".join(
        str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in tensor.shape.dim
    )


def text_of_tensor(tensor: onnx.TensorProto) -> str:
    """Return a stored tensor's type and shape, and its values if they are few and in the model."""
    text = text_of_type(type_of_tensor(tensor))
    if is_external(tensor):
        return f"{text} in an external file"
    if math.prod(tensor.dims) > _MOST_ELEMENTS:
        return text
    try:
        values = onnx.numpy_helper.to_array(tensor).tolist()
    except (ValueError, TypeError, KeyError, OverflowError):
        return text
    return f"{text} = {values}"


def attribute_text(attribute: onnx.AttributeProto) -> tuple[str, str]:
    """Return the type of an attribute, and its value as text."""
    kind = _KINDS.Name(attribute.type).lower()
    if attribute.ref_attr_name:
        return kind, f"the function's {attribute.ref_attr_name}"
    if kind == "tensor":
        return kind, text_of_tensor(attribute.t)
    if kind in ("tensors", "graphs", "type_protos", "sparse_tensors"):
        return kind, f"{len(getattr(attribute, kind))} of them"
    if kind in ("graph", "sparse_tensor"):
        return kind, attribute.g.name if kind == "graph" else ""
    if kind == "type_proto":
        return kind, text_of_type(attribute.tp)
    if kind == "undefined":
        return kind, ""
    return kind, _plain(onnx.helper.get_attribute_value(attribute))


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return repr(value[:LONGEST].decode(errors="replace"))
    if isinstance(value, (int, str)):
        return str(value)
    if isinstance(value, float):
        return str(np.float32(value))  # as short as tells it from other float32 numbers: 0.1
    shown = ", ".join(_plain(each) for each in value[:LONGEST])
    return f"[{shown}]"
