"""Python adapters from a real registry, called by C++ outside of any call of the bindings."""

from typing import Any

import pytest

from pluginkit import Copy, Input, Output, Plugin, attribute, float16, float32, register
from pluginkit.kernels.prepare import preparing_with
from pluginkit.trt.flavour import load_flavour
from tests.export.registry_caller import TensorRT
from tests.export.structures import Profile

pytestmark = [pytest.mark.trt, pytest.mark.slow]


class CalledV2(Plugin):
    """A plugin that copies its input, as an IPluginV2DynamicExt."""

    types = {"T": (float32, float16)}
    factor: float = attribute(default=1.0)
    names: tuple[str, ...] = attribute(default=("a",))
    x = Input("T")
    y = Output("T", like="x")

    def launches(self, x, y):
        """Return no launches; nothing runs here."""
        return Copy(y, x)

    def reference(self, x):
        """Not used here."""
        return x


class CalledV3(CalledV2):
    """The same, as an IPluginV3."""

    x = Input("T")
    y = Output("T", like="x")


@pytest.mark.parametrize(("plugin_class", "interface"), [(CalledV2, "v2"), (CalledV3, "v3")])
def test_a_python_plugin_lives_in_a_cpp_program(
    tensorrt: TensorRT, plugin_class: type[Plugin], interface: Any
):
    flavour = load_flavour("tensorrt_lean")
    register(plugin_class, interface=interface, flavour=flavour)
    assert tensorrt.interface(plugin_class.spec.key) == interface
    asked = []

    class Prepared:
        def __init__(self, plugin, inputs, outputs):
            self.facts = plugin.factor, plugin.names, inputs[0].shape, inputs[0].dtype, len(outputs)

        def enqueue(self, inputs, outputs, workspace, stream):
            asked.append((self.facts, list(inputs), list(outputs), workspace, stream))

    plugin = plugin_class(factor=0.5, names=("b", "c"))
    profile = Profile([float16], [(1, 4)], [(2, 4)], [(8, 4)], {})
    with preparing_with(Prepared), tensorrt.built(plugin, profile) as layer:
        assert layer.output_shapes == [(2, 4)]
        assert layer.output_dtypes == ["float16"]
        with tensorrt.attached(layer) as context:
            for rows in (3, 8):
                context.enqueue_pointers([(rows, 4)], [1024], [2048], 4096, 7, {})
    assert asked == [
        ((0.5, ("b", "c"), (rows, 4), float16, 1), [1024], [2048], 4096, 7) for rows in (3, 8)
    ]
