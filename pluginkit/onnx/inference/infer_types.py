"""Infer the types and shapes of a model's values and of plugin outputs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, compress
from typing import Any

import onnx
import onnx.helper

from pluginkit.contract import calls
from pluginkit.contract.dims import Dim, InputDim, Shape
from pluginkit.contract.dtypes import DType, dtype_from_onnx
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.spec import Port
from pluginkit.errors import TensorError
from pluginkit.onnx.inference.annotations import INVENTED
from pluginkit.onnx.inference.branch_shapes import infer_through_branches
from pluginkit.onnx.inference.value_types import Types, dims_of
from pluginkit.onnx.model.weightless_model import skeleton_for_inference


def infer_types(model: onnx.ModelProto) -> Types:
    """Run onnx's shape inference; no weights are read or copied.

    An ``If`` whose condition follows from ranks and shapes alone, as the TorchScript exporter
    writes them, gets the shapes of the branch that is taken. Any other ``If`` gets only what holds
    for both branches; onnx itself would take the shape of either.

    Errors:
        PK408: the model's types contradict each other.
    """
    return infer_through_branches(skeleton_for_inference(model))


def plugin_output_types(
    plugin: Plugin, inputs: Sequence[onnx.TypeProto | None]
) -> list[onnx.TypeProto | None]:
    """Return the types of a plugin's outputs, as far as they follow from the inputs.

    Args:
        plugin: the plugin.
        inputs: the type of each input that the node has; None if nothing is known.

    Errors:
        PK111, PK112, PK120, and any error of the author's methods: the plugin does not take these
        inputs.
    """
    for value_type in inputs:
        if value_type is not None and value_type.WhichOneof("value") != "tensor_type":
            kind = value_type.WhichOneof("value")
            raise TensorError(
                "PK112", f"{type(plugin).__name__}: an input is a {kind}, not a tensor."
            )
    ports = list(compress(plugin.spec.inputs, plugin.present))
    dtypes = [value_type and _dtype(value_type) for value_type in inputs]
    all_dims = [dims_of(value_type) for value_type in inputs]
    # InputDim counts only the inputs that kernels see, as TensorRT does.
    numbers = list(accumulate((port.is_on_device for port in ports), initial=0))
    shapes = [
        (InputDim(index, 0),) * port.ranks[0] if dims is None else _symbolic(index, dims)
        for index, port, dims in zip(numbers, ports, all_dims, strict=False)
    ]
    described = calls.describe_inputs(plugin, shapes, _filled(ports, dtypes))
    nothing: list[onnx.TypeProto | None] = [None] * len(plugin.spec.outputs)
    if None in dtypes:
        return nothing
    if None in all_dims:
        if "output_types" in plugin.spec.overrides:
            return nothing
        types = calls.output_types(plugin, described)
        return [onnx.helper.make_tensor_type_proto(dtype.onnx, None) for dtype in types]
    calls.check(plugin, described)
    outputs = calls.describe_outputs(plugin, described)
    seen = calls.on_device(plugin, all_dims)
    return [
        _tensor_type(desc.dtype, shape, seen)
        for desc, shape in zip(outputs, calls.output_shapes(plugin, described), strict=True)
    ]


def _dtype(value_type: onnx.TypeProto) -> DType | None:
    elem_type = value_type.tensor_type.elem_type
    return dtype_from_onnx(elem_type) if elem_type else None


def _filled(ports: Sequence[Port], dtypes: Sequence[DType | None]) -> list[DType]:
    """Replace unknown dtypes by allowed ones, so that the known ones can be checked."""
    bound = {port.variable: dtype for port, dtype in zip(ports, dtypes, strict=False) if dtype}
    return [
        dtype or (bound.get(port.variable) if port.variable else None) or port.dtypes[0]
        for port, dtype in zip(ports, dtypes, strict=False)
    ]


def _symbolic(index: int, dims: Sequence[Any]) -> Shape:
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else InputDim(index, axis)
        for axis, dim in enumerate(dims)
    )


def _tensor_type(
    dtype: DType, shape: Shape, inputs: Sequence[Sequence[Any] | None]
) -> onnx.TypeProto:
    def dim_of(dim: Dim) -> int | str | None:
        if isinstance(dim, int):
            return dim
        dims = inputs[dim.index] if isinstance(dim, InputDim) else None
        name = dims[dim.axis].dim_param if dims and isinstance(dim, InputDim) else ""
        return name if name and not name.startswith(INVENTED) else None

    return onnx.helper.make_tensor_type_proto(dtype.onnx, [dim_of(dim) for dim in shape])
