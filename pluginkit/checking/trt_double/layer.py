"""A built layer with one plugin, as in a plan, and its execution contexts."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluginkit.checking.trt_double.descriptions import Descriptions, tensor_desc
from pluginkit.contract import calls
from pluginkit.contract.dims import ConcreteShape
from pluginkit.device.memory import TensorMemory
from pluginkit.trt.callbacks import callback_errors

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

#: The name of every layer.
LAYER = "driven_layer"


@dataclass(frozen=True)
class Layer:
    """One plugin in a plan.

    Attributes:
        descriptions: the descriptions of its inputs and outputs.
        creator: the plugin's creator, from the registry.
        adapter: the object from the build; a V3 payload points into its buffers.
        output_types: the outputs' ``DataType``.
        opt_shapes: the outputs' shapes at the profile's opt, from their expressions.
        workspace_bytes: the workspace that the plugin requested at the profile's maximum.
        payload: the serialized plugin: bytes (V2) or a PluginFieldCollection (V3).
    """

    descriptions: Descriptions
    creator: Any
    adapter: Any
    output_types: Sequence[Any]
    opt_shapes: Sequence[ConcreteShape]
    workspace_bytes: int
    payload: Any

    @contextmanager
    def context(self) -> Iterator[ExecutionContext]:
        """Act as the runtime: deserialize, attach to a context, and destroy at the end."""
        creator, flavour = self.creator, self.descriptions.flavour
        is_v2 = isinstance(self.payload, bytes)
        with callback_errors():
            if is_v2:
                adapter = creator.deserialize_plugin(LAYER, self.payload).clone()
                adapter.configure_plugin(*self.dynamic_descs())
                adapter.initialize()
            else:
                phase = flavour.module.TensorRTPhase.RUNTIME
                adapter = creator.create_plugin(LAYER, self.payload, phase).attach_to_context(None)
                plugin = self.descriptions.plugin
                tactics = plugin.spec.tactics  # TensorRT counts them from 1; 0 leaves the choice
                adapter.set_tactic(1 + tactics.index(plugin.tactic) if tactics else 0)
            yield ExecutionContext(self, adapter, is_v2)
            if is_v2:
                adapter.terminate()
            adapter.destroy()

    def dynamic_descs(self) -> tuple[list[Any], list[Any]]:
        """Return DynamicPluginTensorDescs of inputs and outputs, with the bounds of the profile."""
        outputs = self.descriptions.dynamic_descs(self.output_types, self._output_bounds)
        return self.descriptions.input_descs(), outputs

    @functools.cached_property
    def _output_bounds(self) -> list[list[ConcreteShape]]:
        profile = self.descriptions.profile
        every = (profile.min, profile.opt, profile.max)
        return [self.descriptions.output_shapes(shapes) for shapes in every]


class ExecutionContext:
    """One execution context of a layer."""

    def __init__(self, layer: Layer, adapter: Any, is_v2: bool) -> None:
        self.layer = layer
        self.adapter = adapter
        self._is_v2 = is_v2
        self._seen: tuple[list[ConcreteShape], Mapping[str, ConcreteShape]] | None = None

    def descs(
        self, shapes: Sequence[ConcreteShape], values: Mapping[str, ConcreteShape] | None = None
    ) -> tuple[list[Any], list[Any]]:
        """Return the PluginTensorDescs of inputs and outputs for these input shapes.

        Args:
            shapes: the shape of every input.
            values: the values of shape inputs; the profile's unless given.
        """
        described = self.layer.descriptions
        inputs = described.describe(shapes, values)
        outputs = [
            tuple(dim if isinstance(dim, int) else -1 for dim in shape)  # as TensorRT says it
            for shape in calls.output_shapes(described.plugin, inputs)
        ]
        seen = calls.on_device(described.plugin, list(shapes))
        return (
            [
                tensor_desc(described.flavour, s, t)
                for s, t in zip(seen, described.data_types, strict=True)
            ],
            [
                tensor_desc(described.flavour, s, t)
                for s, t in zip(outputs, self.layer.output_types, strict=True)
            ],
        )

    def enqueue(self, arrays: Sequence[Array], memory: TensorMemory) -> list[Array]:
        """Execute on ``arrays``. Outputs that alias no input are poisoned first."""
        described = self.layer.descriptions
        shapes = [tuple(array.shape) for array in arrays]
        values = calls.shape_values_in(described.plugin, arrays)
        inputs = described.describe(shapes, values)
        sources = [memory.upload(array) for array in calls.on_device(described.plugin, arrays)]
        targets = [
            memory.empty(operator.index(desc.nbytes))
            for desc in calls.describe_outputs(described.plugin, inputs)
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
        return calls.arrays_from_buffers(described.plugin, inputs, written)

    def aliased(self) -> dict[int, int]:
        """Return for each output that aliases an input the number of that input."""
        build = getattr(self.layer.descriptions.flavour.module, "IPluginV3OneBuildV2", ())
        if self._is_v2 or not isinstance(self.adapter, build):
            return {}
        asked = {
            output: self.adapter.get_aliased_input(output)
            for output in range(self.adapter.num_outputs)
        }
        return {output: source for output, source in asked.items() if source >= 0}

    def enqueue_pointers(
        self,
        shapes: Sequence[ConcreteShape],
        inputs: Sequence[int],
        outputs: Sequence[int],
        workspace: int,
        stream: int,
        values: Mapping[str, ConcreteShape] | None = None,
    ) -> None:
        """Execute on the caller's pointers, as TensorRT does.

        Args:
            shapes: the shape of every input.
            inputs: pointers to the inputs in device memory.
            outputs: pointers to memory for each output at its largest size.
            workspace: a pointer.
            stream: a ``cudaStream_t``.
            values: the values of shape inputs; the profile's unless given.
        """
        known = self.layer.descriptions.profile.values if values is None else values
        descs = self.descs(shapes, known)
        if (list(shapes), known) != self._seen:
            self.announce(*descs)
            self._seen = (list(shapes), known)
        self.adapter.enqueue(*descs, list(inputs), list(outputs), workspace, stream)

    def announce(self, input_descs: Sequence[Any], output_descs: Sequence[Any]) -> None:
        """Announce new shapes to the plugin, as TensorRT does before the next enqueue."""
        if not self._is_v2:
            self.adapter.on_shape_change(input_descs, output_descs)
            return
        inputs, outputs = self.layer.dynamic_descs()
        for dynamic, desc in zip([*inputs, *outputs], [*input_descs, *output_descs], strict=True):
            dynamic.desc = desc
        self.adapter.configure_plugin(inputs, outputs)
