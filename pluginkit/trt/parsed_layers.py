"""Let the ONNX parser make plugin layers for networks that are built by API.

The bindings of TensorRT-RTX have no ``add_plugin_v3``: plugins enter a network through the ONNX
parser alone, and the parser wants an empty network. So a network is described twice. The first
time its plugin layers are noted, and inputs of the network stand in for their outputs. Then the
parser makes all of them in an empty network, with constants for inputs. The second time each gets
the inputs that it is to have; nobody reads the constants any more, and the builder drops them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pluginkit.contract import calls
from pluginkit.contract.dims import Dim, InputDim, Shape, ShapeValue, SizeDim
from pluginkit.contract.dtypes import DType
from pluginkit.contract.plugin import Plugin
from pluginkit.errors import RegistrationError, UsageError
from pluginkit.interrupts import uninterrupted
from pluginkit.trt.adapter import AdapterCore
from pluginkit.trt.fields import FieldBlock
from pluginkit.trt.flavour import Flavour
from pluginkit.trt.plugin_v3 import plugin_v3

if TYPE_CHECKING:
    import onnx

#: What the nodes are called whose plugins are known by their names alone.
_OP_TYPE = "PluginkitLayer"
_VERSION = "1"
_OPSET = 20


def layer_inputs(plugin: Plugin, inputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return a layer's inputs on the device, and its shape inputs."""
    ports = zip(calls.present_ports(plugin), inputs, strict=True)
    return calls.on_device(plugin, inputs), [one for port, one in ports if port.is_shape_input]


class NotedLayer:
    """A plugin layer that a network lacks, with inputs of the network in place of its outputs.

    Attributes:
        plugin: the plugin.
        name: the layer's name.
        dtypes: the types of its inputs, those on the device first.
        ranks: their ranks.
        output_dtypes, output_shapes: what it makes; -1 is a dimension that is not known.
        stand_in_shapes: the shapes of its outputs while constants stand for its inputs.
        has_inputs: whether the parsed layer has the inputs that it is to have.
    """

    def __init__(self, core: AdapterCore, network: Any, inputs: Sequence[Any]) -> None:
        plugin = core.plugin
        device, shaping = layer_inputs(plugin, inputs)
        self.has_inputs = False
        self.plugin, self.name, self.num_outputs = plugin, core.node, len(plugin.spec.outputs)
        self.dtypes = [core.flavour.dtype(tensor.dtype) for tensor in [*device, *shaping]]
        self.ranks = [len(tensor.shape) for tensor in [*device, *shaping]]
        types = core.output_data_types([tensor.dtype for tensor in device])
        self.output_dtypes = [core.flavour.dtype(each) for each in types]
        shapes = _output_shapes(core, device)
        self.output_shapes = [
            tuple(dim if isinstance(dim, int) else -1 for dim in each) for each in shapes
        ]
        self.stand_in_shapes = [tuple(map(_stand_in, each)) for each in shapes]
        inputs = [
            network.add_input(f"{network.num_layers}: {core.node}, output {index}", dtype, shape)
            for index, (dtype, shape) in enumerate(zip(types, self.output_shapes, strict=True))
        ]
        # An input cannot be marked as an output.
        self._outputs = [network.add_identity(each).get_output(0) for each in inputs]

    def get_output(self, index: int) -> Any:
        """Return what stands for an output."""
        return self._outputs[index]


def _stand_in(dim: Dim) -> Dim:
    """Return a size for a dimension; TensorRT has to know early which one a kernel finds."""
    if isinstance(dim, SizeDim):
        return SizeDim(dim.name, 1, 1)
    return dim if isinstance(dim, int) else 1


def _output_shapes(core: AdapterCore, inputs: Sequence[Any]) -> list[Shape]:
    plugin = core.plugin
    symbolic = [
        tuple(InputDim(index, axis) if dim < 0 else dim for axis, dim in enumerate(tensor.shape))
        for index, tensor in enumerate(inputs)
    ]
    seen = [core.flavour.dtype(tensor.dtype) for tensor in inputs]
    shapes, dtypes = calls.with_shape_inputs(plugin, symbolic, seen)
    values: dict[str, Shape] = {
        port.name: tuple(ShapeValue(port.name, index) for index in range(port.length))
        for port in calls.present_ports(plugin)
        if port.is_shape_input
    }
    described = calls.describe_inputs(plugin, shapes, dtypes, values)
    calls.check(plugin, described)
    return calls.output_shapes(plugin, described)


class _LayerCore(AdapterCore):
    """Answers for a layer, also while constants stand for its inputs."""

    def __init__(self, noted: NotedLayer, flavour: Flavour) -> None:
        super().__init__(noted.plugin, flavour, noted.name)
        self._noted = noted

    def output_dims(
        self, inputs: Sequence[Any], builder: Any, shape_inputs: Sequence[Any] = ()
    ) -> list[Any]:
        if self._noted.has_inputs:
            return super().output_dims(inputs, builder, shape_inputs)
        return self.lowered(self._noted.stand_in_shapes, inputs, {}, builder)


class LayerCreatorCallbacks:
    """The callbacks of an IPluginCreatorV3One that finds plugins by the names of their nodes."""

    interface: type

    def __init__(self, flavour: Flavour) -> None:
        self.interface.__init__(self)  # type: ignore[misc]
        self.name, self.plugin_version = _OP_TYPE, _VERSION
        self.plugin_namespace = Plugin.plugin_namespace
        self.announced = FieldBlock(flavour.module, {})
        self.field_names = self.announced.collection
        self.cores: dict[str, _LayerCore] = {}

    @uninterrupted
    def create_plugin(self, name: str, fields: Any, phase: Any) -> Any:
        return plugin_v3(self.cores[name])


@functools.cache
def _layer_creator(flavour: Flavour) -> Any:
    """Return the registered creator."""
    base = flavour.module.IPluginCreatorV3One
    creator = type("LayerCreator", (LayerCreatorCallbacks, base), {"interface": base})(flavour)
    registry = flavour.module.get_plugin_registry()
    if not registry.register_creator(creator, Plugin.plugin_namespace):
        raise RegistrationError("PK209", f"{flavour.name}'s registry refused '{_OP_TYPE}'.")
    return creator


class ParsedLayers:
    """The plugin layers that the parser has made in a network, to be taken in their order.

    Args:
        flavour: the TensorRT.
        network: the network, still empty.
        parser: TensorRT's OnnxParser of the network.
        noted: what the layers are.

    Errors:
        PK209: the parser refuses them.  PK204, raised by ``callback_errors``: a callback failed.
    """

    def __init__(
        self, flavour: Flavour, network: Any, parser: Any, noted: Sequence[NotedLayer]
    ) -> None:
        self._noted, self._taken = noted, 0
        creator = _layer_creator(flavour)
        creator.cores = {str(at): _LayerCore(each, flavour) for at, each in enumerate(noted)}
        try:
            is_parsed = parser.parse(_model(noted).SerializeToString())
        finally:
            creator.cores = {}
        if not is_parsed:
            raise RegistrationError(
                "PK209",
                f"{flavour.name} refused the plugin layers of the network.",
                cause="\n".join(parser.get_error(i).desc() for i in range(parser.num_errors)),
            )
        layers = [network.get_layer(index) for index in range(network.num_layers)]
        plugins = [each for each in layers if each.type == flavour.module.LayerType.PLUGIN_V3]
        by_node = {layer.name: layer for layer in plugins}
        self._layers = [by_node[str(index)] for index in range(len(noted))]
        for output in [network.get_output(index) for index in range(network.num_outputs)]:
            network.unmark_output(output)

    def take(self, plugin: Plugin, inputs: Sequence[Any], name: str) -> Any:
        """Give the next layer its inputs, and return it.

        Errors:
            PK529: the layer that was noted is another.
        """
        tensors = [each for some in layer_inputs(plugin, inputs) for each in some]
        noted = self._noted[self._taken] if self._taken < len(self._noted) else None
        ranks = [len(tensor.shape) for tensor in tensors]
        if noted is None or (noted.plugin, noted.name, noted.ranks) != (plugin, name, ranks):
            raise another_network(name, None if noted is None else noted.name)
        layer = self._layers[self._taken]
        for index, tensor in enumerate(tensors):
            layer.set_input(index, tensor)
        noted.has_inputs = True
        self._taken += 1
        return layer

    def check_all_taken(self) -> None:
        """Refuse a network that lacks one of the layers.

        Errors:
            PK529: one is left.
        """
        if self._taken < len(self._noted):
            raise another_network(None, self._noted[self._taken].name)


def another_network(found: str | None, expected: str | None) -> UsageError:
    """Return the error for a function that adds other plugins when it is called again."""
    got, wanted = (f"layer '{each}'" if each else "no further layer" for each in (found, expected))
    return UsageError(
        "PK529",
        f"the script describes another network when it is called again: it adds {got}; expected "
        f"{wanted}.",
        cause="TensorRT-RTX gets plugin layers from its parser alone, before all others, so the "
        "function runs twice: to see which there are, and to connect them.",
        fix="let the function add the same plugins each time, and give layers names of their own.",
    )


def _model(noted: Sequence[NotedLayer]) -> onnx.ModelProto:
    """Return a model of the layers, with constants for their inputs."""
    import onnx.helper

    nodes, outputs = [], []
    for at, layer in enumerate(noted):
        on_device = sum(port.is_on_device for port in calls.present_ports(layer.plugin))
        names = [f"{at}_{index}" for index in range(len(layer.dtypes))]
        shaping = list(range(on_device, len(names)))
        for index, name in enumerate(names):
            shape = (1,) * layer.ranks[index]
            nodes += _constant(name, layer.dtypes[index], shape, is_stored=index in shaping)
        made = [f"{at}_out_{index}" for index in range(layer.num_outputs)]
        outputs += [
            onnx.helper.make_tensor_value_info(name, dtype.onnx, None)
            for name, dtype in zip(made, layer.output_dtypes, strict=True)
        ]
        attributes: dict[str, Any] = {
            "plugin_version": _VERSION,
            "plugin_namespace": Plugin.plugin_namespace,
        }
        if shaping:
            attributes["tensorrt_plugin_shape_input_indices"] = shaping
        nodes.append(
            onnx.helper.make_node(
                _OP_TYPE,
                names,
                made,
                name=str(at),
                domain=Plugin.plugin_namespace,
                **attributes,
            )
        )
    return onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "layers", [], outputs),
        opset_imports=[
            onnx.helper.make_opsetid("", _OPSET),
            onnx.helper.make_opsetid(Plugin.plugin_namespace, 1),
        ],
    )


def _constant(
    name: str, dtype: DType, shape: tuple[int, ...], *, is_stored: bool
) -> list[onnx.NodeProto]:
    """Return nodes that make zeros; only a shape input is stored, for the parser reads it."""
    import numpy as np
    import onnx.helper
    import onnx.numpy_helper

    zeros = np.zeros(shape, dtype.numpy if is_stored else np.float32)
    stored = onnx.numpy_helper.from_array(zeros)
    if is_stored:
        return [onnx.helper.make_node("Constant", [], [name], value=stored)]
    made = f"{name}_float32"
    return [
        onnx.helper.make_node("Constant", [], [made], value=stored),
        onnx.helper.make_node("Cast", [made], [name], to=dtype.onnx),
    ]
