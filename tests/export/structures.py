"""TensorRT's structures of the plugin interface for ctypes, and how to fill them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import POINTER, c_char_p, c_float, c_int32, c_int64
from dataclasses import dataclass
from typing import Any

from pluginkit import Plugin
from pluginkit.contract import calls
from pluginkit.contract.dims import DimExpr
from pluginkit.contract.dtypes import DType

Shape = tuple[int, ...]

MAX_DIMS = 8
#: The most outputs of the C++ caller.
MOST_PORTS = 16
#: TensorRT's number for each type.
TYPES = {
    "float32": 0, "float16": 1, "int8": 2, "int32": 3, "bool": 4, "uint8": 5, "bfloat16": 7,
    "int64": 8,
}  # fmt: skip
_FLOAT32_FIELD, _INT32_FIELD, _CHAR_FIELD = 1, 5, 6


class Dims(ctypes.Structure):
    """nvinfer1::Dims64."""

    _fields_ = [("nbDims", c_int32), ("d", c_int64 * MAX_DIMS)]

    @classmethod
    def of(cls, shape: Shape) -> Dims:
        return cls(len(shape), (c_int64 * MAX_DIMS)(*shape))

    @property
    def shape(self) -> Shape:
        return tuple(self.d[: self.nbDims])


class PluginTensorDesc(ctypes.Structure):
    """nvinfer1::PluginTensorDesc, linear."""

    _fields_ = [("dims", Dims), ("type", c_int32), ("format", c_int32), ("scale", c_float)]

    @classmethod
    def of(cls, shape: Shape, dtype: DType) -> PluginTensorDesc:
        return cls(Dims.of(shape), TYPES[dtype.name], 0, 1.0)


class DynamicPluginTensorDesc(ctypes.Structure):
    """nvinfer1::DynamicPluginTensorDesc."""

    _fields_ = [("desc", PluginTensorDesc), ("min", Dims), ("max", Dims), ("opt", Dims)]

    @classmethod
    def of(cls, low: Shape, opt: Shape, high: Shape, dtype: DType) -> DynamicPluginTensorDesc:
        dims = tuple(a if a == b else -1 for a, b in zip(low, high, strict=True))
        return cls(PluginTensorDesc.of(dims, dtype), *map(Dims.of, (low, high, opt)))


class PluginField(ctypes.Structure):
    """nvinfer1::PluginField; ``data`` keeps its bytes alive."""

    _fields_ = [("name", c_char_p), ("data", c_char_p), ("type", c_int32), ("length", c_int32)]

    @classmethod
    def of(cls, name: str, value: Any) -> PluginField:
        """Return the field of an attribute in wire form."""
        if isinstance(value, str):
            data = value.encode() + b"\0"
            return cls(name.encode(), data, _CHAR_FIELD, len(data))
        items = value if isinstance(value, list) else [value]
        is_real = isinstance(items[0], float)
        array = ((c_float if is_real else c_int32) * len(items))(*items)
        kind = _FLOAT32_FIELD if is_real else _INT32_FIELD
        return cls(name.encode(), bytes(array), kind, len(items))


class Node(ctypes.Structure):
    """The C++ caller's Node."""

    _fields_ = [
        ("name", c_char_p),
        ("fields", POINTER(PluginField)),
        ("field_count", c_int32),
        ("inputs", POINTER(DynamicPluginTensorDesc)),
        ("input_count", c_int32),
        ("shape_inputs", POINTER(Dims)),
        ("shape_input_count", c_int32),
        ("outputs", POINTER(DynamicPluginTensorDesc)),
        ("output_count", c_int32),
    ]


class Answers(ctypes.Structure):
    """The C++ caller's Answers."""

    _fields_ = [
        ("output_types", c_int32 * MOST_PORTS),
        ("output_shapes", Dims * MOST_PORTS),
        ("workspace_bytes", c_int64),
        ("aliased_inputs", c_int32 * MOST_PORTS),
        ("tactic_count", c_int32),
    ]


@dataclass(frozen=True)
class Profile:
    """The inputs of a node in a network.

    Attributes:
        dtypes: the types of all inputs that the node has.
        min, opt, max: a shape for each of them.
        values: the values of shape inputs at opt.
    """

    dtypes: Sequence[DType]
    min: Sequence[Shape]
    opt: Sequence[Shape]
    max: Sequence[Shape]
    values: Mapping[str, Shape]

    def node(self, plugin: Plugin, name: str) -> Node:
        """Return the plugin's node, with the bounds of inputs and outputs."""
        bounds = (self.min, self.opt, self.max)
        inputs = calls.on_device(plugin, list(zip(*bounds, self.dtypes, strict=True)))
        described = [
            calls.describe_outputs(
                plugin, calls.describe_inputs(plugin, list(shapes), self.dtypes, self.values)
            )
            for shapes in bounds
        ]
        outputs = [
            (*(desc.shape for desc in descs), descs[0].dtype)
            for descs in zip(*described, strict=True)
        ]
        shaping = [port.name for port in calls.present_ports(plugin) if port.is_shape_input]
        listed: list[Any] = []
        for kind, each in (
            (PluginField, [PluginField.of(*one) for one in plugin.to_wire().items()]),
            (DynamicPluginTensorDesc, [DynamicPluginTensorDesc.of(*one) for one in inputs]),
            (Dims, [Dims.of(self.values[one]) for one in shaping]),
            (DynamicPluginTensorDesc, [DynamicPluginTensorDesc.of(*one) for one in outputs]),
        ):
            listed += [(kind * len(each))(*each), len(each)]
        return Node(name.encode(), *listed)

    def descs(
        self, plugin: Plugin, shapes: Sequence[Shape], values: Mapping[str, Shape]
    ) -> tuple[Any, Any]:
        """Return inputs and outputs as TensorRT states them, -1 for sizes that kernels compute."""
        described = calls.describe_inputs(plugin, list(shapes), self.dtypes, values)
        outputs_of_trt = [
            tuple(-1 if isinstance(dim, DimExpr) else dim for dim in shape)
            for shape in calls.output_shapes(plugin, described)
        ]
        inputs = calls.on_device(plugin, list(zip(shapes, self.dtypes, strict=True)))
        outputs = list(zip(outputs_of_trt, calls.output_types(plugin, described), strict=True))
        first, second = (
            (PluginTensorDesc * len(each))(*(PluginTensorDesc.of(*one) for one in each))
            for each in (inputs, outputs)
        )
        return first, second


def profile_of(calls_of_plugin: Sequence[Any]) -> Profile:
    """Return the profile that covers the shapes of some calls; the first call is its opt."""
    low, high = (
        [
            tuple(map(bound, zip(*dims, strict=True)))
            for dims in zip(*(each.shapes for each in calls_of_plugin), strict=True)
        ]
        for bound in (min, max)
    )
    first = calls_of_plugin[0]
    return Profile(first.dtypes, low, first.shapes, high, first.values)
