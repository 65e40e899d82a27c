"""The descriptions of shapes and types that TensorRT passes to a plugin's callbacks.

PluginTensorDesc and DynamicPluginTensorDesc are the flavour's real classes. Dimension expressions
are doubles, because Python cannot construct TensorRT's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pluginkit.checking.trt_double.expression_doubles import ExprDouble, ExprsDouble
from pluginkit.contract import calls
from pluginkit.contract.dims import ConcreteShape
from pluginkit.contract.dtypes import DType
from pluginkit.contract.plugin import Plugin
from pluginkit.trt.flavour import Flavour


@dataclass(frozen=True)
class Profile:
    """The input shapes of an optimization profile, and the values of shape inputs.

    Attributes:
        min, opt, max: a shape for each input that the plugin has.
        values: the values of shape inputs, by name.
    """

    min: Sequence[ConcreteShape]
    opt: Sequence[ConcreteShape]
    max: Sequence[ConcreteShape]
    values: Mapping[str, ConcreteShape] = field(default_factory=dict)


class Descriptions:
    """The descriptions of one layer: a plugin on inputs of given types, within a profile."""

    def __init__(
        self, plugin: Plugin, profile: Profile, dtypes: list[DType], flavour: Flavour
    ) -> None:
        self.plugin = plugin
        self.profile = profile
        self.flavour = flavour
        self.dtypes = dtypes
        self.data_types = [flavour.data_type(dtype) for dtype in calls.on_device(plugin, dtypes)]

    def exprs(self) -> list[ExprsDouble]:
        """Return the inputs' dimensions; a dimension is known if min equals max."""
        profile = self.profile
        every = zip(profile.min, profile.opt, profile.max, strict=True)
        return [
            ExprsDouble(ExprDouble(o, low == high) for low, o, high in zip(*bounds, strict=True))
            for bounds in calls.on_device(self.plugin, list(every))
        ]

    def shape_exprs(self) -> list[ExprsDouble]:
        """Return the values of the shape inputs, unknown to the plugin."""
        return [
            ExprsDouble(ExprDouble(value, False) for value in self.profile.values[port.name])
            for port in calls.present_ports(self.plugin)
            if port.is_shape_input
        ]

    def describe(
        self, shapes: Sequence[ConcreteShape], values: Mapping[str, ConcreteShape] | None = None
    ) -> calls.Inputs:
        """Return the inputs as the author's methods see them."""
        known = self.profile.values if values is None else values
        return calls.describe_inputs(self.plugin, list(shapes), self.dtypes, known)

    def output_shapes(
        self, shapes: Sequence[ConcreteShape], values: Mapping[str, ConcreteShape] | None = None
    ) -> list[ConcreteShape]:
        """Return the outputs' shapes, with data-dependent dimensions at their upper bound."""
        inputs = self.describe(shapes, values)
        return [desc.shape for desc in calls.describe_outputs(self.plugin, inputs)]  # type: ignore[misc]

    def input_descs(self) -> list[Any]:
        """Return DynamicPluginTensorDescs of the inputs in device memory."""
        profile = self.profile
        bounds = [
            calls.on_device(self.plugin, list(each))
            for each in (profile.min, profile.opt, profile.max)
        ]
        return self.dynamic_descs(self.data_types, bounds)

    def dynamic_descs(
        self, data_types: Sequence[Any], bounds: Sequence[Sequence[ConcreteShape]]
    ) -> list[Any]:
        """Return DynamicPluginTensorDescs from the shapes at the profile's min, opt and max."""
        descs = []
        for data_type, low, opt, high in zip(data_types, *bounds, strict=True):
            dynamic = self.flavour.module.DynamicPluginTensorDesc()
            dims = tuple(a if a == b else -1 for a, b in zip(low, high, strict=True))
            dynamic.desc = tensor_desc(self.flavour, dims, data_type)
            for bound, shape in (("min", low), ("opt", opt), ("max", high)):
                setattr(dynamic, bound, self.flavour.module.Dims(list(shape)))
            descs.append(dynamic)
        return descs


def tensor_desc(flavour: Flavour, dims: Sequence[int], data_type: Any) -> Any:
    """Return a linear PluginTensorDesc."""
    desc = flavour.module.PluginTensorDesc()
    desc.dims = flavour.module.Dims(list(dims))
    desc.type = data_type
    if hasattr(flavour.module, "TensorFormat"):
        desc.format = flavour.module.TensorFormat.LINEAR
    return desc
