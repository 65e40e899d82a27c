"""Read the inputs of a parsed network: their names, and which dimensions are dynamic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NetworkInput:
    """An input of a parsed network.

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
