"""Read the inputs of a network: their names, and which dimensions are dynamic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import onnx

from pluginkit.onnx.inference.shape_ranges import ShapeSpec, parse_ranges
from pluginkit.onnx.inference.value_types import axis_sizes

#: The types of shape tensors that are inputs, and those that become them in rewritten models.
_SHAPE_TYPES = {
    *(onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.INT16),
    *(onnx.TensorProto.UINT16, onnx.TensorProto.UINT32, onnx.TensorProto.UINT64),
}


@dataclass(frozen=True)
class NetworkInput:
    """An input of a network.

    Attributes:
        name: its name.
        shape: an int for a static dimension; the name, possibly empty, of a dynamic one.
        is_shape_tensor: whether the profile has the tensor's values instead of its shape.
    """

    name: str
    shape: tuple[int | str, ...]
    is_shape_tensor: bool = False

    @property
    def is_dynamic(self) -> bool:
        """Whether a profile has a range for it."""
        return self.is_shape_tensor or any(isinstance(dim, str) for dim in self.shape)

    @property
    def value_count(self) -> int:
        """The number of values of a shape tensor."""
        return next((dim for dim in self.shape if isinstance(dim, int)), 1)

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(str(dim) or '?' for dim in self.shape)}]"


def inputs_of(network: Any) -> list[NetworkInput]:
    """Return the inputs of a TensorRT network."""
    inputs = []
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(
            dim if dim >= 0 else tensor.get_dimension_name(axis) or ""
            for axis, dim in enumerate(tensor.shape)
        )
        inputs.append(NetworkInput(tensor.name, shape, tensor.is_shape_tensor))
    return inputs


def inputs_of_model(
    model: onnx.ModelProto, shapes: Mapping[str, ShapeSpec] = MappingProxyType({})
) -> list[NetworkInput]:
    """Return the inputs of a model; the shape of one whose rank is unknown is empty.

    Only TensorRT knows which of them are shape tensors. Those count here that can be, and that have
    something else in ``shapes`` than their shape.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = []
    for value in model.graph.input:
        if value.name not in stored:
            shape = tuple("" if dim is None else dim for dim in axis_sizes(value.type) or ())
            is_small = value.type.tensor_type.elem_type in _SHAPE_TYPES and len(shape) < 2
            is_other = value.name in shapes and any(
                part != shape for part in parse_ranges(value.name, shapes[value.name])[0]
            )
            is_static = all(isinstance(dim, int) for dim in shape)
            inputs.append(NetworkInput(value.name, shape, is_small and is_static and is_other))
    return inputs
