"""debug_taps compares every enqueue with the reference and names the first difference."""

import ctypes

import numpy as np
import pytest

from pluginkit import Input, Output, attribute, float32
from pluginkit.checking.debug_taps import debug_taps
from pluginkit.checking.trt_double.driver import Profile, build_layer
from pluginkit.device.memory import HostMemory
from pluginkit.errors import KernelError
from tests.integration.host_plugins import HostPlugin, host_array

pytestmark = pytest.mark.trt


class Doubles(HostPlugin):
    """y = 2 x, but wrong from element ``wrong_from`` on."""

    tolerance = {float32: 1e-6}
    wrong_from: int = attribute(default=1000)
    value: float = attribute(default=0.0)
    x = Input(float32)
    y = Output(float32)

    def output_shapes(self, x):
        return x.shape

    def reference(self, x):
        return x * 2

    def enqueue(self, inputs, outputs, workspace, stream):
        y = host_array(outputs[0])
        y[...] = host_array(inputs[0]) * 2
        y.reshape(-1)[self.wrong_from :] = self.value


def read_host(pointer: int, nbytes: int, stream: int) -> bytes:
    return ctypes.string_at(pointer, nbytes)


def layer_of(plugin, flavour, interface):
    profile = Profile([(1, 4)], [(2, 4)], [(9, 4)])
    return build_layer(plugin, profile, [float32], interface=interface, flavour=flavour)


def x(rows: int) -> np.ndarray:
    return np.arange(1, rows * 4 + 1, dtype=np.float32).reshape(rows, 4)


def test_a_right_plugin_passes_and_is_counted(flavour, interface) -> None:
    with layer_of(Doubles(), flavour, interface).context() as context:
        with debug_taps(read_host) as taps:
            for rows in (2, 3, 3):
                context.enqueue([x(rows)], HostMemory())
        assert (taps.calls, taps.skipped, taps.differences, taps.first_nan) == (3, 0, [], None)


def tapped(plugin, flavour, interface, heights):
    """Enqueue each height under taps that must object; their findings and the error."""
    with layer_of(plugin, flavour, interface).context() as context:
        try:
            with debug_taps(read_host) as taps:
                for height in heights:
                    context.enqueue([x(height)], HostMemory())
        except KernelError as error:
            return taps, str(error)
    return pytest.fail("the taps found nothing")


def test_the_first_difference_is_named(flavour, interface) -> None:
    # The first call is too small to show it, the third one is not the first.
    taps, text = tapped(Doubles(wrong_from=9, value=-1.0), flavour, interface, (2, 3, 4))
    assert text.startswith(
        "PK250 Doubles, node 'driven_layer', call 2: y[2, 1] is -1.0; expected 20.0 (3 elements"
    )
    assert len(taps.differences) == 1
    assert taps.first_nan is None
    assert taps.calls == 3


def test_the_first_nan_is_named(flavour, interface) -> None:
    plugin = Doubles(wrong_from=3, value=float("nan"))
    taps, text = tapped(plugin, flavour, interface, (1,))
    assert text.startswith("PK250")
    assert taps.first_nan is not None
    assert (taps.first_nan.element, taps.first_nan.expected) == ((0, 3), 8.0)


def test_engines_that_were_running_before_are_compared_and_left_alone_afterwards(
    flavour, interface
) -> None:
    plugin = Doubles(wrong_from=0)
    with layer_of(plugin, flavour, interface).context() as context:
        context.enqueue([x(2)], HostMemory())
        with pytest.raises(KernelError, match="PK250"), debug_taps(read_host) as taps:
            context.enqueue([x(2)], HostMemory())
        assert taps.calls == 1
        context.enqueue([x(2)], HostMemory())
        assert taps.calls == 1
