"""An operator as a plugin would declare it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from pluginkit.contract.dtypes import DType


@dataclass(frozen=True)
class OperatorPort:
    """An input or output of an operator.

    Attributes:
        name: the plugin's name for it.
        variable: its type variable, or "".
        dtypes: every dtype that it may have.
        is_optional: whether a node may leave the input out.
        like: the input whose shape the output has, or "".
        shape: the sizes and names of its dimensions, or None.
    """

    name: str
    variable: str
    dtypes: tuple[DType, ...]
    is_optional: bool = False
    like: str = ""
    shape: tuple[int | str | None, ...] | None = None

    @property
    def has_shape(self) -> bool:
        """Whether the declaration says an output's shape."""
        return bool(self.like) or self.shape is not None


@dataclass(frozen=True)
class Attribute:
    """An attribute as Python source.

    Attributes:
        name: the schema's.
        annotation: its type.
        default: an expression, "" where the attribute is required.
    """

    name: str
    annotation: str
    default: str


@dataclass(frozen=True)
class Operator:
    """An operator as a plugin would declare it.

    Attributes:
        domain, op_type: its name.
        since: the version of its schema; 0 where onnx has none.
        alike_since: the first version from which on it has had the same inputs and attributes.
        attributes: by name.
        inputs, outputs: in the schema's order.
    """

    domain: str
    op_type: str
    since: int
    alike_since: int
    attributes: tuple[Attribute, ...]
    inputs: tuple[OperatorPort, ...]
    outputs: tuple[OperatorPort, ...]

    @property
    def ports(self) -> tuple[OperatorPort, ...]:
        """The inputs and the outputs."""
        return self.inputs + self.outputs

    @property
    def variables(self) -> dict[str, tuple[DType, ...]]:
        """The dtypes of each type variable."""
        return {port.variable: port.dtypes for port in self.ports if port.variable}

    @property
    def has_open_types(self) -> bool:
        """Whether an output's type does not follow from a required input's."""
        known = {port.variable for port in self.inputs if not port.is_optional}
        return any(len(out.dtypes) > 1 and out.variable not in known for out in self.outputs)

    @property
    def has_open_shapes(self) -> bool:
        """Whether an output has no input's shape, as far as is known."""
        return not all(port.has_shape for port in self.outputs)

    def __str__(self) -> str:
        name = f"{self.domain}::{self.op_type}" if self.domain else f"ONNX {self.op_type}"
        return f"{name}-{self.since}" if self.since else name


def expression(value: Any) -> str:
    """Return a value as Python source; floats are float32, in as few digits as possible."""
    import numpy as np

    if isinstance(value, bytes):
        return expression(value.decode())
    if isinstance(value, str):
        return json.dumps(value)  # a model's text stays text, whatever it says
    if isinstance(value, float):
        number = repr(float(str(np.float32(value))))
        return number if math.isfinite(value) else f'float("{number}")'
    if isinstance(value, (list, tuple)):
        items = [expression(item) for item in value]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    return repr(value)
