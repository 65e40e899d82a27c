"""debug_taps on a real GPU: what it reads from the device, and CUDA graphs."""

import numpy as np
import pytest

from pluginkit import debug_taps
from pluginkit.checking.trt_double.driver import Profile, build_layer
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.device.memory import CupyMemory
from pluginkit.errors import KernelError
from pluginkit.plugins.scatter_elements import ScatterElements

pytestmark = [pytest.mark.gpu, pytest.mark.trt]


class Wrong(ScatterElements):
    """Its reference differs from its kernel, from element [2, 1] on."""

    plugin_name = "Wrong_PK"

    def reference(self, data, indices, updates):
        result = super().reference(data, indices, updates)
        result[2, 1] += 1
        return result


@pytest.fixture(params=["v2", "v3"])
def interface(request):
    return request.param


def arrays():
    rng = np.random.default_rng(1)
    data, updates = rng.random((5, 3), np.float32), rng.random((7, 3), np.float32)
    return [data, rng.integers(0, 5, (7, 3)), updates]


def layer_of(plugin, interface):
    shapes = [array.shape for array in arrays()]
    dtypes = [dtype_from_numpy(array.dtype) for array in arrays()]
    profile = Profile(shapes, shapes, shapes)
    return build_layer(plugin, profile, dtypes, interface=interface, flavour="tensorrt_lean")


def test_a_right_plugin_passes(interface):
    with (
        layer_of(ScatterElements(reduction="add"), interface).context() as context,
        debug_taps() as taps,
    ):
        for _ in range(3):
            context.enqueue(arrays(), CupyMemory())
    assert (taps.calls, taps.skipped, taps.differences) == (3, 0, [])


def test_a_difference_is_named(interface):
    with layer_of(Wrong(reduction="add"), interface).context() as context:
        context.enqueue(arrays(), CupyMemory())
        with (
            pytest.raises(KernelError, match=r"PK250 Wrong, .*call 1: output\[2, 1\] is"),
            debug_taps(),
        ):
            context.enqueue(arrays(), CupyMemory())


def test_a_graph_capture_is_left_alone(interface):
    memory = CupyMemory()
    with layer_of(ScatterElements(reduction="add"), interface).context() as context:
        inputs = [memory.upload(array) for array in arrays()]
        shapes = [array.shape for array in arrays()]
        output = memory.empty(5 * 3 * 4)
        pointers = [memory.pointer(each) for each in inputs]
        with debug_taps() as taps:
            context.enqueue(arrays(), memory)  # compiles and prepares
            stream = memory.queue
            stream.begin_capture()
            context.enqueue_pointers(shapes, pointers, [memory.pointer(output)], 0, memory.stream)
            graph = stream.end_capture()
        graph.launch(stream)
        stream.synchronize()
        assert (taps.calls, taps.skipped) == (1, 1)
