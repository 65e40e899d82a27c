"""Python adapters from a real registry, called by C++ outside of any call of the bindings."""

import ctypes
import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from pluginkit import Copy, Fill, Input, Output, Plugin, attribute, float16, float32, register
from pluginkit.errors import CallbackError
from pluginkit.kernels import enqueue_program, prepare, recorded_enqueue
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.flavour import load_flavour
from pluginkit.trt.native_enqueue import NativeEnqueue
from pluginkit.trt.prepared_wrappers import wrapping_prepared
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
    with prepare.preparing_with(Prepared), tensorrt.built(plugin, profile) as layer:
        assert layer.output_shapes == [(2, 4)]
        assert layer.output_dtypes == ["float16"]
        with tensorrt.attached(layer) as context:
            for rows in (3, 8):
                context.enqueue_pointers([(rows, 4)], [1024], [2048], 4096, 7, {})
    assert asked == [
        ((0.5, ("b", "c"), (rows, 4), float16, 1), [1024], [2048], 4096, 7) for rows in (3, 8)
    ]


class NativeV2(Plugin):
    """A plugin that clears its workspace and copies its input, as an IPluginV2DynamicExt."""

    x = Input(float32)
    y = Output(float32, like="x")

    def workspace_bytes(self, x):
        """As much as the input."""
        return x.nbytes

    def launches(self, x, y, workspace):
        """Return no launches."""
        return [Fill(workspace, 3), Copy(y, x)]

    def reference(self, x):
        """Not used here."""
        return x


class NativeV3(NativeV2):
    """The same, as an IPluginV3."""

    x = Input(float32)
    y = Output(float32, like="x")


class FreedV2(NativeV2):
    """The same, as an IPluginV2DynamicExt that is destroyed."""

    x = Input(float32)
    y = Output(float32, like="x")


class UntoldV2(NativeV2):
    """The same, as an IPluginV2DynamicExt that is told of no new shape."""

    x = Input(float32)
    y = Output(float32, like="x")


@pytest.fixture
def driver_calls(monkeypatch: pytest.MonkeyPatch):
    """The calls of a driver that stands in for CUDA's, with the status that it answers."""
    made: list[tuple[int, ...]] = []
    status = [0]

    def answer(*arguments: int) -> int:
        made.append(arguments)
        return status[0]

    function = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint64] * 4)(answer)
    address = ctypes.cast(function, ctypes.c_void_p).value
    monkeypatch.setattr(enqueue_program, "_driver_functions", lambda: (address,) * 4)
    for module in (prepare, recorded_enqueue):
        monkeypatch.setattr(module, "current_device", lambda: 0)
    monkeypatch.setattr(prepare, "kernels_of", lambda *_: [])
    monkeypatch.setattr(prepare, "cuda_error", lambda status: status.name)
    yield made, status
    del function


@pytest.mark.parametrize(("plugin_class", "interface"), [(NativeV2, "v2"), (NativeV3, "v3")])
def test_tensorrt_enqueues_without_python(
    tensorrt: TensorRT,
    driver_calls: Any,
    plugin_class: type[Plugin],
    interface: Any,
    monkeypatch: pytest.MonkeyPatch,
):
    made, status = driver_calls
    register(plugin_class, interface=interface, flavour=load_flavour("tensorrt_lean"))
    in_python = []
    through_python = prepare.PreparedSteps.enqueue

    def noted(self, *arguments):
        in_python.append(arguments)
        through_python(self, *arguments)

    monkeypatch.setattr(prepare.PreparedSteps, "enqueue", noted)
    plugin, profile = plugin_class(), Profile([float32], [(1, 4)], [(2, 4)], [(8, 4)], {})
    refusal = f"PK330 {plugin_class.__name__}: step 1 of 2, Fill: CUDA_ERROR_ILLEGAL_ADDRESS"
    with tensorrt.built(plugin, profile) as layer, tensorrt.attached(layer) as context:
        for rows, x in ((3, 1024), (8, 4096), (8, 8192), (3, 1024)):
            context.enqueue_pointers([(rows, 4)], [x], [2048], 512, 7, {})
            size = 16 * rows
            assert made == [(512, 3, size, 7), (2048, x, size, 7)]
            made.clear()
        assert in_python == []
        seen: list[tuple[Any, ...]] = []
        wrapped = SimpleNamespace(enqueue=lambda *arguments: seen.append(arguments))
        with wrapping_prepared(lambda *_: wrapped):
            context.enqueue_pointers([(3, 4)], [1024], [2048], 512, 7, {})
        assert (made, seen) == ([], [([1024], [2048], 512, 7)])
        context.enqueue_pointers([(3, 4)], [1024], [2048], 512, 7, {})
        assert len(made) == 2  # though Python had to prepare it again
        made.clear()
        in_python.clear()
        status[0] = 700
        with pytest.raises(CallbackError, match=refusal), callback_errors():
            context.enqueue_pointers([(3, 4)], [1024], [2048], 512, 7, {})
        assert made == [(512, 3, 48, 7)]  # and nothing after what was refused
        assert len(in_python) == 1  # which says what


def test_what_a_v2_plugin_enqueues_with_is_freed(
    tensorrt: TensorRT, driver_calls: Any, monkeypatch: pytest.MonkeyPatch
):
    blocks = []
    replaced = NativeEnqueue._replaced_vtable

    def noted(self, *arguments):
        block = replaced(self, *arguments)
        blocks.append(weakref.ref(block))
        return block

    monkeypatch.setattr(NativeEnqueue, "_replaced_vtable", noted)
    register(FreedV2, interface="v2", flavour=load_flavour("tensorrt_lean"))
    profile = Profile([float32], [(1, 4)], [(2, 4)], [(8, 4)], {})
    with tensorrt.built(FreedV2(), profile) as layer:
        for _ in range(3):
            with tensorrt.attached(layer) as context:
                context.enqueue_pointers([(3, 4)], [1024], [2048], 512, 7, {})
                assert blocks[-1]() is not None
    gc.collect()
    assert [block() for block in blocks] == [None] * 3


def test_a_v2_plugin_finds_shapes_that_nobody_told(tensorrt: TensorRT, driver_calls: Any):
    made, _ = driver_calls
    register(UntoldV2, interface="v2", flavour=load_flavour("tensorrt_lean"))
    plugin, profile = UntoldV2(), Profile([float32], [(1, 4)], [(2, 4)], [(8, 4)], {})
    with tensorrt.built(plugin, profile) as layer, tensorrt.attached(layer) as context:
        for rows in (3, 3, 5, 5, 3):
            made.clear()
            if rows == 3:
                context.announce([(3, 4)], {})
            enqueued = [(rows, 4)]
            context.descs = profile.descs(plugin, enqueued, {})
            context._announced = enqueued, {}
            context.enqueue_pointers(enqueued, [1024], [2048], 512, 7, {})
            assert made == [(512, 3, 16 * rows, 7), (2048, 1024, 16 * rows, 7)]
