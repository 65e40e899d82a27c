"""Drive a plugin through TensorRT's callbacks, in TensorRT's order, without building an engine.

The registry, creators, adapters, fields and tensor descriptors are the flavour's real ones. Only
IDimensionExpr and IExprBuilder are doubles, because Python cannot construct TensorRT's. So all
callbacks can run on machines that cannot run an engine: up to ``enqueue`` without a GPU, and
``enqueue`` too with one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pluginkit.checking.trt_double.descriptions import Descriptions, tensor_desc
from pluginkit.checking.trt_double.descriptions import Profile as Profile
from pluginkit.checking.trt_double.expression_doubles import ExprBuilderDouble
from pluginkit.checking.trt_double.layer import LAYER, Layer
from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType, dtype_from_numpy
from pluginkit.contract.plugin import Plugin
from pluginkit.device.memory import CupyMemory, TensorMemory
from pluginkit.errors import BuildError
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.fields import FieldBlock
from pluginkit.trt.flavour import Flavour, load_flavour
from pluginkit.trt.plugin_registry import Interface, interface_of, register

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


def drive(
    plugin: Plugin,
    arrays: Sequence[Array],
    *,
    interface: Interface = "auto",
    flavour: str | Flavour | None = None,
    memory: TensorMemory | None = None,
) -> list[Array]:
    """Build, serialize, load and execute one plugin layer.

    Args:
        plugin: the plugin with its attributes.
        arrays: one for each input that the plugin has.
        interface: ``"v2"`` or ``"v3"``; by default the one that ``register`` would choose.
        flavour: the TensorRT whose registry and types are used.
        memory: the memory to use; by default a GPU's.

    Returns:
        the outputs.

    Errors:
        PK204: a callback failed.  PK212: the plugin refused its only format combination.
    """
    shapes = [tuple(array.shape) for array in arrays]
    dtypes = [dtype_from_numpy(array.dtype) for array in arrays]
    profile = Profile(shapes, shapes, shapes, calls.shape_values_in(plugin, arrays))
    layer = build_layer(plugin, profile, dtypes, interface=interface, flavour=flavour)
    with layer.context() as context:
        return context.enqueue(arrays, memory if memory is not None else CupyMemory())


def build_layer(
    plugin: Plugin,
    profile: Profile,
    dtypes: Sequence[DType],
    *,
    interface: Interface = "auto",
    flavour: str | Flavour | None = None,
) -> Layer:
    """Act as the builder: create, shapes, types, formats, configure, workspace, serialize.

    For the plugin's shape function, dimensions that the profile fixes are constants, and the others
    are unknown.
    """
    loaded = flavour if isinstance(flavour, Flavour) else load_flavour(flavour)
    chosen = interface_of(plugin.spec, loaded, interface)
    register(type(plugin), interface=chosen, flavour=loaded)  # type: ignore[arg-type]
    builder = (_BuilderV2 if chosen == "v2" else _BuilderV3)(plugin, profile, list(dtypes), loaded)
    with callback_errors():
        return builder.build()


class _Builder(Descriptions):
    """The part of building that both interfaces share."""

    def __init__(
        self, plugin: Plugin, profile: Profile, dtypes: list[DType], flavour: Flavour
    ) -> None:
        super().__init__(plugin, profile, dtypes, flavour)
        self.spec = plugin.spec
        self.creator = flavour.module.get_plugin_registry().get_creator(*plugin.spec.key)
        self.fields = FieldBlock(flavour.module, plugin.to_wire())

    def check_formats(self, adapter: Any, descs: list[Any], as_seen: Any) -> None:
        """Offer the one combination that the network allows: its types, all linear."""
        num_inputs = len(self.data_types)
        for pos in range(len(descs)):
            if not adapter.supports_format_combination(pos, as_seen(descs), num_inputs):
                raise BuildError(
                    "PK212",
                    f"{self.spec.name}: supports_format_combination({pos}) is False for "
                    f"{', '.join(dtype.name for dtype in self.dtypes)}, linear; expected True.",
                )


class _BuilderV3(_Builder):
    def build(self) -> Layer:
        module = self.flavour.module
        adapter = self.creator.create_plugin(
            LAYER, self.fields.collection, module.TensorRTPhase.BUILD
        )
        adapter = adapter.clone()
        output_types = list(adapter.get_output_data_types(self.data_types))
        exprs = adapter.get_output_shapes(self.exprs(), self.shape_exprs(), ExprBuilderDouble())
        opt_outputs = [tuple(expr.value for expr in shape) for shape in exprs]
        inputs = self.input_descs()
        low, high = self.output_shapes(self.profile.min), self.output_shapes(self.profile.max)
        outputs = self.dynamic_descs(output_types, (low, opt_outputs, high))
        self.check_formats(adapter, [*inputs, *outputs], lambda descs: descs)
        adapter.configure_plugin(inputs, outputs)
        workspace = adapter.get_workspace_size(inputs, outputs)
        payload = adapter.get_fields_to_serialize()
        return Layer(self, self.creator, adapter, output_types, opt_outputs, workspace, payload)


class _BuilderV2(_Builder):
    def build(self) -> Layer:
        adapter = self.creator.create_plugin(LAYER, self.fields.collection).clone()
        indices = range(adapter.num_outputs)
        exprs = [
            adapter.get_output_dimensions(index, self.exprs(), ExprBuilderDouble())
            for index in indices
        ]
        opt_outputs = [tuple(expr.value for expr in shape) for shape in exprs]
        output_types = [adapter.get_output_datatype(index, self.data_types) for index in indices]
        inputs = self.input_descs()
        low, high = self.output_shapes(self.profile.min), self.output_shapes(self.profile.max)
        outputs = self.dynamic_descs(output_types, (low, opt_outputs, high))
        self.check_formats(
            adapter, [*inputs, *outputs], lambda descs: [dynamic.desc for dynamic in descs]
        )
        adapter.configure_plugin(inputs, outputs)
        workspace = adapter.get_workspace_size(
            [
                tensor_desc(self.flavour, shape, t)
                for shape, t in zip(self.profile.max, self.data_types, strict=True)
            ],
            [
                tensor_desc(self.flavour, shape, t)
                for shape, t in zip(high, output_types, strict=True)
            ],
        )
        payload = adapter.clone().serialize()
        if adapter.get_serialization_size() != len(payload):
            raise BuildError(
                "PK213", f"{self.spec.name}: get_serialization_size differs from len(serialize())."
            )
        return Layer(self, self.creator, adapter, output_types, opt_outputs, workspace, payload)
