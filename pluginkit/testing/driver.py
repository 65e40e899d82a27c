"""Drives a plugin through TensorRT's callbacks, in TensorRT's order, with no engine built.

The registry, creators, adapters, fields and tensor descriptors are the flavour's real ones. Only
IDimensionExpr and IExprBuilder are look-alikes, because TensorRT's own cannot be made from Python.
So a plugin's whole life can be run
where no engine can: without a GPU up to ``enqueue``, with one through it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pluginkit import calls
from pluginkit.dtypes import DType, dtype_from_numpy
from pluginkit.errors import BuildError
from pluginkit.plugin import Plugin
from pluginkit.testing.look_alikes import LookAlikeBuilder, LookAlikeExpr, LookAlikeExprs
from pluginkit.testing.memory import CupyMemory, Memory
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.fields import FieldBlock
from pluginkit.trt.flavour import Flavour, load_flavour
from pluginkit.trt.registry import Interface, interface_of, register

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]

Shape = tuple[int, ...]
LAYER = "driven_layer"


@dataclass(frozen=True)
class Profile:
    """The input shapes of an optimization profile, and the values of shape inputs.

    Attributes:
        min, opt, max: a shape for each input that the plugin has.
        values: of shape inputs, by name.
    """

    min: Sequence[Shape]
    opt: Sequence[Shape]
    max: Sequence[Shape]
    values: Mapping[str, Shape] = field(default_factory=dict)


def drive(
    plugin: Plugin,
    arrays: Sequence[Array],
    *,
    interface: Interface = "auto",
    flavour: str | Flavour | None = None,
    memory: Memory | None = None,
) -> list[Array]:
    """Build, serialize, load and execute one plugin layer.

    Args:
        plugin: the plugin with its attributes.
        arrays: one for each input that the plugin has.
        interface: ``"v2"`` or ``"v3"``, or what ``register`` would choose.
        flavour: the TensorRT whose registry and types are used.
        memory: a GPU's memory unless given.

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
    """Play the builder: create, shapes, types, formats, configure, workspace, serialize.

    Dimensions that the profile fixes are constants to the plugin's shape function, the others
    unknown.
    """
    loaded = flavour if isinstance(flavour, Flavour) else load_flavour(flavour)
    chosen = interface_of(plugin.spec, loaded, interface)
    register(type(plugin), interface=chosen, flavour=loaded)  # type: ignore[arg-type]
    builder = (_BuilderV2 if chosen == "v2" else _BuilderV3)(plugin, profile, list(dtypes), loaded)
    with callback_errors():
        return builder.build()


class _Builder:
    """What building has in common for both interfaces."""

    def __init__(
        self, plugin: Plugin, profile: Profile, dtypes: list[DType], flavour: Flavour
    ) -> None:
        self.spec = plugin.spec
        self.plugin = plugin
        self.profile = profile
        self.flavour = flavour
        self.dtypes = dtypes
        self.data_types = [flavour.data_type(dtype) for dtype in calls.on_device(plugin, dtypes)]
        self.creator = flavour.module.get_plugin_registry().get_creator(*plugin.spec.key)
        self.fields = FieldBlock(flavour.module, plugin.to_wire())

    def exprs(self) -> list[LookAlikeExprs]:
        """The inputs' dimensions: known where the profile leaves no choice."""
        profile = self.profile
        every = zip(profile.min, profile.opt, profile.max, strict=True)
        return [
            LookAlikeExprs(
                LookAlikeExpr(o, low == high) for low, o, high in zip(*bounds, strict=True)
            )
            for bounds in calls.on_device(self.plugin, list(every))
        ]

    def shape_exprs(self) -> list[LookAlikeExprs]:
        """The values of the shape inputs, unknown to the plugin."""
        return [
            LookAlikeExprs(LookAlikeExpr(value, False) for value in self.profile.values[port.name])
            for port in calls.present_ports(self.plugin)
            if port.length is not None
        ]

    def describe(
        self, shapes: Sequence[Shape], values: Mapping[str, Shape] | None = None
    ) -> calls.Inputs:
        """The inputs as the author's methods see them."""
        known = self.profile.values if values is None else values
        return calls.describe_inputs(self.plugin, list(shapes), self.dtypes, known)

    def output_shapes(
        self, shapes: Sequence[Shape], values: Mapping[str, Shape] | None = None
    ) -> list[Shape]:
        """The outputs' shapes; dimensions that only kernels know are at their upper bound."""
        inputs = self.describe(shapes, values)
        return [desc.shape for desc in calls.describe_outputs(self.plugin, inputs)]  # type: ignore[misc]

    def input_descs(self) -> list[Any]:
        """DynamicPluginTensorDescs of the inputs that kernels see."""
        profile = self.profile
        bounds = [
            calls.on_device(self.plugin, list(each))
            for each in (profile.min, profile.opt, profile.max)
        ]
        return self.dynamic_descs(self.data_types, bounds)

    def dynamic_descs(
        self, data_types: Sequence[Any], bounds: Sequence[Sequence[Shape]]
    ) -> list[Any]:
        """DynamicPluginTensorDescs from the shapes at the profile's min, opt and max."""
        descs = []
        for data_type, low, opt, high in zip(data_types, *bounds, strict=True):
            dynamic = self.flavour.module.DynamicPluginTensorDesc()
            dims = tuple(a if a == b else -1 for a, b in zip(low, high, strict=True))
            dynamic.desc = tensor_desc(self.flavour, dims, data_type)
            for bound, shape in (("min", low), ("opt", opt), ("max", high)):
                setattr(dynamic, bound, self.flavour.module.Dims(list(shape)))
            descs.append(dynamic)
        return descs

    def check_formats(self, adapter: Any, descs: list[Any], as_seen: Any) -> None:
        """Offer the only combination there is: linear, with the network's types."""
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
        exprs = adapter.get_output_shapes(self.exprs(), self.shape_exprs(), LookAlikeBuilder())
        opt_outputs = [tuple(expr.value for expr in shape) for shape in exprs]
        inputs = self.input_descs()
        low, high = self.output_shapes(self.profile.min), self.output_shapes(self.profile.max)
        outputs = self.dynamic_descs(output_types, (low, opt_outputs, high))
        self.check_formats(adapter, [*inputs, *outputs], lambda descs: descs)
        adapter.configure_plugin(inputs, outputs)
        workspace = adapter.get_workspace_size(inputs, outputs)
        payload = adapter.get_fields_to_serialize()
        return Layer(self, adapter, output_types, opt_outputs, workspace, payload)


class _BuilderV2(_Builder):
    def build(self) -> Layer:
        adapter = self.creator.create_plugin(LAYER, self.fields.collection).clone()
        indices = range(adapter.num_outputs)
        exprs = [
            adapter.get_output_dimensions(index, self.exprs(), LookAlikeBuilder())
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
        return Layer(self, adapter, output_types, opt_outputs, workspace, payload)


@dataclass(frozen=True)
class Layer:
    """A built layer: what a plan holds of a plugin.

    Attributes:
        builder: what built it.
        adapter: the object that was built; a V3 payload points into its buffers.
        output_types: the outputs' ``DataType``.
        opt_shapes: the outputs' shapes at the profile's opt, from their expressions.
        workspace_bytes: what the plugin asked for at the profile's maximum.
        payload: the serialized plugin: bytes (V2) or a PluginFieldCollection (V3).
    """

    builder: _Builder
    adapter: Any
    output_types: Sequence[Any]
    opt_shapes: Sequence[Shape]
    workspace_bytes: int
    payload: Any

    @contextmanager
    def context(self) -> Iterator[Context]:
        """Play the runtime: deserialize, attach to a context, and destroy at the end."""
        creator, flavour = self.builder.creator, self.builder.flavour
        is_v2 = isinstance(self.payload, bytes)
        with callback_errors():
            if is_v2:
                adapter = creator.deserialize_plugin(LAYER, self.payload).clone()
                adapter.configure_plugin(*self.dynamic_descs())
                adapter.initialize()
            else:
                phase = flavour.module.TensorRTPhase.RUNTIME
                adapter = creator.create_plugin(LAYER, self.payload, phase).attach_to_context(None)
                plugin = self.builder.plugin
                tactics = plugin.spec.tactics  # TensorRT counts them from 1; 0 leaves the choice
                adapter.set_tactic(1 + tactics.index(plugin.tactic) if tactics else 0)
            yield Context(self, adapter, is_v2)
            if is_v2:
                adapter.terminate()
            adapter.destroy()

    def dynamic_descs(self) -> tuple[list[Any], list[Any]]:
        """DynamicPluginTensorDescs of inputs and outputs, with the bounds of the profile."""
        profile, builder = self.builder.profile, self.builder
        bounds = [
            builder.output_shapes(shapes) for shapes in (profile.min, profile.opt, profile.max)
        ]
        return builder.input_descs(), builder.dynamic_descs(self.output_types, bounds)


class Context:
    """One execution context of a layer."""

    def __init__(self, layer: Layer, adapter: Any, is_v2: bool) -> None:
        self.layer = layer
        self.adapter = adapter
        self._is_v2 = is_v2
        self._seen: tuple[list[Shape], Mapping[str, Shape]] | None = None

    def descs(
        self, shapes: Sequence[Shape], values: Mapping[str, Shape] | None = None
    ) -> tuple[list[Any], list[Any]]:
        """The PluginTensorDescs of inputs and outputs for these input shapes.

        Args:
            shapes: of all inputs.
            values: of shape inputs, where they are not the profile's.
        """
        builder = self.layer.builder
        inputs = builder.describe(shapes, values)
        outputs = [
            tuple(dim if isinstance(dim, int) else -1 for dim in shape)  # as TensorRT says it
            for shape in calls.output_shapes(builder.plugin, inputs)
        ]
        seen = calls.on_device(builder.plugin, list(shapes))
        return (
            [
                tensor_desc(builder.flavour, s, t)
                for s, t in zip(seen, builder.data_types, strict=True)
            ],
            [
                tensor_desc(builder.flavour, s, t)
                for s, t in zip(outputs, self.layer.output_types, strict=True)
            ],
        )

    def enqueue(self, arrays: Sequence[Array], memory: Memory) -> list[Array]:
        """Execute on ``arrays``; outputs that have memory of their own are poisoned before."""
        builder = self.layer.builder
        shapes = [tuple(array.shape) for array in arrays]
        values = calls.shape_values_in(builder.plugin, arrays)
        inputs = builder.describe(shapes, values)
        sources = [memory.upload(array) for array in calls.on_device(builder.plugin, arrays)]
        targets = [
            memory.empty(operator.index(desc.nbytes))
            for desc in calls.describe_outputs(builder.plugin, inputs)
        ]
        for output, source in self.aliased().items():
            targets[output] = sources[source]
        workspace = memory.empty(self.layer.workspace_bytes)
        self.enqueue_pointers(
            shapes,
            [memory.pointer(source) for source in sources],
            [memory.pointer(target) for target in targets],
            memory.pointer(workspace),
            memory.stream,
            values,
        )
        written = [memory.download(target) for target in targets]
        return calls.arrays_from_buffers(builder.plugin, inputs, written)

    def aliased(self) -> dict[int, int]:
        """For each output that takes over an input's memory, the number of the input."""
        build = getattr(self.layer.builder.flavour.module, "IPluginV3OneBuildV2", ())
        if self._is_v2 or not isinstance(self.adapter, build):
            return {}
        asked = {
            output: self.adapter.get_aliased_input(output)
            for output in range(self.adapter.num_outputs)
        }
        return {output: source for output, source in asked.items() if source >= 0}

    def enqueue_pointers(
        self,
        shapes: Sequence[Shape],
        inputs: Sequence[int],
        outputs: Sequence[int],
        workspace: int,
        stream: int,
        values: Mapping[str, Shape] | None = None,
    ) -> None:
        """Execute on input ``shapes`` with the caller's pointers, as TensorRT would.

        Args:
            shapes: of all inputs.
            inputs: pointers of those that kernels see.
            outputs: pointers, of memory for the largest size of each.
            workspace: a pointer.
            stream: a ``cudaStream_t``.
            values: of shape inputs, where they are not the profile's.
        """
        known = self.layer.builder.profile.values if values is None else values
        descs = self.descs(shapes, known)
        if (list(shapes), known) != self._seen:
            self.announce(*descs)
            self._seen = (list(shapes), known)
        self.adapter.enqueue(*descs, list(inputs), list(outputs), workspace, stream)

    def announce(self, input_descs: Sequence[Any], output_descs: Sequence[Any]) -> None:
        """Tell the plugin of new shapes, as TensorRT does before the next enqueue."""
        if not self._is_v2:
            self.adapter.on_shape_change(input_descs, output_descs)
            return
        inputs, outputs = self.layer.dynamic_descs()
        for dynamic, desc in zip([*inputs, *outputs], [*input_descs, *output_descs], strict=True):
            dynamic.desc = desc
        self.adapter.configure_plugin(inputs, outputs)


def tensor_desc(flavour: Flavour, dims: Sequence[int], data_type: Any) -> Any:
    """A PluginTensorDesc, linear."""
    desc = flavour.module.PluginTensorDesc()
    desc.dims = flavour.module.Dims(list(dims))
    desc.type = data_type
    if hasattr(flavour.module, "TensorFormat"):
        desc.format = flavour.module.TensorFormat.LINEAR
    return desc
