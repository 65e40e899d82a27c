"""Generate a call like that of a node, for a plugin's ``cases``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.contract.dtypes import DType, dtype_from_onnx
from pluginkit.errors import TensorError
from pluginkit.onnx.inference.value_types import Types, dims_of
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import Scope
from pluginkit.onnx.model.stored_tensors import stored_tensors
from pluginkit.scaffold.operator_declaration import Operator, expression

#: Different sizes for dimensions that are unknown in the model.
_OPEN = (3, 5, 7, 11, 13, 17, 19, 23)
#: The most elements of a random tensor, and of one whose numbers are written out.
_MOST, _WRITTEN = 2**24, 32

_Known = tuple[DType, tuple[int, ...]]


def sample_case(operator: Operator, types: Types, scope: Scope, node: onnx.NodeProto) -> str:
    """Return statements that yield a Case, or "" where an input's type or rank is unknown.

    Constants keep their values. Other floating-point numbers are random, and integers are between 0
    and the smallest size in the call, since they may be indices.
    """
    present = list(node.input) + [""] * (len(operator.inputs) - len(node.input))
    sizes = _ChosenSizes()
    shapes: dict[str, _Known] = {}
    for name in filter(None, present):
        proto = types.find(scope, name)
        dims = dims_of(proto)
        if proto is None or dims is None:
            return ""
        try:
            dtype = dtype_from_onnx(proto.tensor_type.elem_type)
        except TensorError:
            return ""
        shapes[name] = dtype, tuple(map(sizes.of, dims))
        if math.prod(shapes[name][1]) > _MOST:
            return ""
    least = min((dim for _, shape in shapes.values() for dim in shape if dim), default=1)
    stored = _stored(scope)
    arrays = [_array(shapes[name], stored.get(name), least) if name else "None" for name in present]
    pairs = [
        f'"{one.name}": {expression(onnx.helper.get_attribute_value(one))}'
        for one in node.attribute
        if one.type != onnx.AttributeProto.TENSOR
    ]
    if len(pairs) < len(node.attribute):
        return ""
    rows = "".join(f"            {array},\n" for array in arrays)
    lines = ["        rng = np.random.default_rng(0)"] if any("rng" in a for a in arrays) else []
    lines.append(f"        inputs = [\n{rows}        ]")
    attributes = f", {{{', '.join(pairs)}}}" if pairs else ""
    lines.append(f'        yield Case("node", inputs{attributes})')
    return "\n".join(lines)


class _ChosenSizes:
    def __init__(self) -> None:
        self._named: dict[str, int] = {}
        self._open: Iterator[int] = itertools.cycle(_OPEN)

    def of(self, dim: onnx.TensorShapeProto.Dimension) -> int:
        """Return the size of a dimension; an unknown one is chosen, the same for equal names."""
        if dim.dim_value > 0:
            return int(dim.dim_value)
        if not dim.dim_param:
            return next(self._open)
        if dim.dim_param not in self._named:
            self._named[dim.dim_param] = next(self._open)
        return self._named[dim.dim_param]


def _stored(scope: Scope | None) -> dict[str, onnx.TensorProto]:
    found: dict[str, onnx.TensorProto] = {}
    while scope is not None:
        found = stored_tensors(scope.graph) | found
        scope = scope.outer
    return found


def _array(known: _Known, stored: onnx.TensorProto | None, least: int) -> str:
    dtype, shape = known
    numpy_name = "bool" if dtype.name == "bool" else f"np.{dtype.name}"
    if stored is not None and math.prod(shape) <= _WRITTEN and not is_external(stored):
        array = onnx.numpy_helper.to_array(stored)
        if dtype.is_floating:
            array, numpy_name = array.astype(np.float32), "np.float32"
        return f"np.array({expression(array.tolist())}, {numpy_name}).reshape({shape})"
    if dtype.is_floating:  # the checks cast to every type
        return f"rng.normal(size={shape}).astype(np.float32)"
    if dtype.name == "bool":
        return f"rng.random({shape}) < 0.5"
    return f"rng.integers(0, {max(least, 1)}, {shape}, {numpy_name})"
