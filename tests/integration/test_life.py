"""The V2 and V3 life cycles on the real registries, driven in TensorRT's order."""

import ctypes
import gc
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from pluginkit import float32, int64
from pluginkit.checking.trt_double.driver import Profile, build_layer, drive
from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.contract.plugin import Case, Plugin
from pluginkit.device.gpus import find_gpu
from pluginkit.device.memory import HostMemory
from pluginkit.discovery import find_plugins
from pluginkit.errors import CallbackError, MissingDependencyError, UsageError
from pluginkit.kernels.prepare import prepare
from pluginkit.trt.plugin_registry import register
from tests.integration.host_plugins import PadRows

pytestmark = pytest.mark.trt

ATTRIBUTES = {
    "repeats": 3,
    "mode": "ones",
    "scale": 0.1,
    "exact": False,
    "offsets": (2**40, -1),
    "labels": ("", "a\0b", "ümlaut"),
    "table": np.arange(6, dtype=np.int64).reshape(2, 3) << 40,
}


def rows(height: int, dtype: Any = np.float32) -> list[np.ndarray]:
    rng = np.random.default_rng(height)
    x = rng.standard_normal((height, 5)).astype(dtype)
    return [x, np.array([1, 2**40], np.int64), rng.standard_normal(5).astype(dtype)]


def equal(outputs: list[np.ndarray], expected: tuple[np.ndarray, ...]) -> bool:
    pairs = zip(outputs, expected, strict=True)
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, ml_dtypes.bfloat16], ids=lambda t: np.dtype(t).name
)
@pytest.mark.parametrize("height", [0, 1, 7])
def test_a_whole_life_gives_the_references_outputs(flavour, interface, dtype, height) -> None:
    plugin, arrays = PadRows(**ATTRIBUTES), rows(height, dtype)
    outputs = drive(plugin, arrays, interface=interface, flavour=flavour, memory=HostMemory())
    assert equal(outputs, calls.run_reference(plugin, arrays))


def test_an_absent_optional_input_stays_absent(flavour, interface) -> None:
    plugin, arrays = PadRows(**ATTRIBUTES).with_inputs("x", "rows"), rows(3)[:2]
    outputs = drive(plugin, arrays, interface=interface, flavour=flavour, memory=HostMemory())
    assert equal(outputs, calls.run_reference(plugin, arrays))


def dynamic_layer(flavour, interface, plugin=None):
    profile = Profile([(0, 5), (2,), (5,)], [(4, 5), (2,), (5,)], [(64, 5), (2,), (5,)])
    plugin = plugin or PadRows(**ATTRIBUTES)
    return build_layer(
        plugin, profile, [float32, int64, float32], interface=interface, flavour=flavour
    )


def test_one_context_takes_one_shape_after_another(flavour, interface) -> None:
    layer, plugin = dynamic_layer(flavour, interface), PadRows(**ATTRIBUTES)
    with layer.context() as context:
        for height in (4, 9, 0, 9, 64, 1):
            outputs = context.enqueue(rows(height), HostMemory())
            assert equal(outputs, calls.run_reference(plugin, rows(height))), height


def test_two_contexts_at_once_do_not_disturb_each_other(flavour, interface) -> None:
    layer, plugin = dynamic_layer(flavour, interface), PadRows(**ATTRIBUTES)
    with layer.context() as first, layer.context() as second:
        for height in (4, 9):
            assert equal(
                first.enqueue(rows(height), HostMemory()), calls.run_reference(plugin, rows(height))
            )
            assert equal(
                second.enqueue(rows(2), HostMemory()), calls.run_reference(plugin, rows(2))
            )


def test_the_workspace_is_that_of_the_profiles_maximum(flavour, interface) -> None:
    assert dynamic_layer(flavour, interface).workspace_bytes == 64 * 5 * 4 * 2


def test_the_serialized_plugin_is_the_plugin(flavour, interface) -> None:
    layer = dynamic_layer(flavour, interface, PadRows(**ATTRIBUTES))
    gc.collect()  # the fields' buffers must be owned by something that lives
    with layer.context() as context:
        assert context.adapter.core.plugin == PadRows(**ATTRIBUTES)
        np.testing.assert_array_equal(context.adapter.core.plugin.table, ATTRIBUTES["table"])


def test_clones_are_new_objects_with_the_same_plugin(flavour, interface) -> None:
    with dynamic_layer(flavour, interface).context() as context:
        clone = context.adapter.clone()
        assert clone is not context.adapter
        assert type(clone) is type(context.adapter)
        assert clone.core is not context.adapter.core
        assert clone.core.plugin is context.adapter.core.plugin
        assert clone.num_outputs == 2
        if interface == "v3":
            attached = clone.attach_to_context(None)
            assert attached is not clone
            assert clone.get_capability_interface(None) is clone


def test_every_format_combination_is_answered(flavour, interface) -> None:
    module, layer = flavour.module, dynamic_layer(flavour, interface)
    types = [
        getattr(module.DataType, name)
        for name in ("FLOAT", "HALF", "BF16", "INT32", "INT64", "BOOL")
    ]
    names = [t.name for t in types]
    taken = {
        (x.name, rows_type.name)
        for x in types
        for rows_type in types
        if all(
            _supports(flavour, layer.adapter, (x, rows_type, x, x, rows_type), pos)
            for pos in range(5)
        )
    }
    assert taken == {(x, i) for x in names[:3] for i in names[3:5]}


def _supports(flavour, adapter, types, pos) -> bool:
    from pluginkit.checking.trt_double.descriptions import tensor_desc

    descs = [tensor_desc(flavour, (1,), data_type) for data_type in types]
    if hasattr(adapter, "get_capability_interface"):
        dynamic = []
        for desc in descs:
            dynamic.append(flavour.module.DynamicPluginTensorDesc())
            dynamic[-1].desc = desc
        descs = dynamic
    try:
        return adapter.supports_format_combination(pos, descs, 3)
    except Exception:
        return False


def test_a_format_other_than_linear_is_declined(rtx, interface) -> None:
    from pluginkit.checking.trt_double.descriptions import tensor_desc

    layer = dynamic_layer(rtx, interface)
    desc = tensor_desc(rtx, (1,), rtx.module.DataType.HALF)
    desc.format = rtx.module.TensorFormat.CHW2
    dynamic = rtx.module.DynamicPluginTensorDesc()
    dynamic.desc = desc
    descs = [dynamic] if interface == "v3" else [desc]
    assert layer.adapter.supports_format_combination(0, descs, 3) is False


SHIPPED: list[tuple[type[Plugin], Case]] = [
    (plugin, case) for plugin in find_plugins().values() for case in plugin.cases()
]


def test_there_are_shipped_plugins_with_cases() -> None:
    assert {plugin.__name__ for plugin, _ in SHIPPED} >= {"ScatterElements", "CircPad"}
    assert len(SHIPPED) >= 10


@pytest.mark.parametrize(
    ("plugin", "case"), SHIPPED, ids=lambda v: getattr(v, "name", getattr(v, "__name__", ""))
)
def test_every_case_of_a_shipped_plugin_lives_up_to_its_enqueue(
    flavour, interface, plugin, case
) -> None:
    if interface == "v2" and plugin.spec.needs_v3:
        with pytest.raises(UsageError, match="PK214"):
            register(plugin, interface="v2", flavour=flavour)
        return
    ports = zip(plugin.spec.inputs, case.inputs, strict=True)
    names = [port.name for port, array in ports if array is not None]
    instance = plugin(**case.attributes).with_inputs(*names)
    arrays = [array for array in case.inputs if array is not None]
    shapes = [array.shape for array in arrays]
    dtypes = [dtype_from_numpy(array.dtype) for array in arrays]
    profile = Profile(shapes, shapes, shapes, calls.shape_values_in(instance, arrays))
    layer = build_layer(instance, profile, dtypes, interface=interface, flavour=flavour)
    expected = calls.run_reference(instance, arrays)
    with layer.context() as context:
        assert context.adapter.core.plugin == instance
        _, outputs = context.descs(shapes)
        for desc, array in zip(outputs, expected, strict=True):
            known = zip(desc.dims, array.shape, strict=True)
            assert all(dim in (-1, size) for dim, size in known)
            assert -1 not in tuple(desc.dims) or plugin.spec.sizes


@pytest.mark.skipif(
    find_gpu() is not None, reason="a GPU is there, so that its lack cannot be tested"
)
def test_without_a_gpu_the_failed_enqueue_says_so(flavour, interface) -> None:
    (plugin, case) = next((p, c) for p, c in SHIPPED if p.__name__ == "ScatterElements")
    with pytest.raises(
        CallbackError, match="PK204 ScatterElements: (configure_plugin|on_shape_change) failed"
    ) as caught:
        drive(
            plugin(**case.attributes),
            case.inputs,
            interface=interface,
            flavour=flavour,
            memory=HostMemory(),
        )
    assert isinstance(caught.value.__cause__, MissingDependencyError)


def test_shapes_that_come_back_are_prepared_once(flavour, interface, monkeypatch) -> None:
    made: list[int] = []

    def counting(plugin, inputs, outputs, workspace_bytes):
        made.append(inputs[0].shape[0])
        return prepare(plugin, inputs, outputs, workspace_bytes)

    monkeypatch.setattr("pluginkit.trt.new_call.prepare", counting)
    layer, plugin = dynamic_layer(flavour, interface), PadRows(**ATTRIBUTES)
    with layer.context() as context:
        for height in (4, 2, 4, 2, 4):
            outputs = context.enqueue(rows(height), HostMemory())
            assert equal(outputs, calls.run_reference(plugin, rows(height)))
        assert made == [4, 2]
        for height in range(5, 5 + 16):  # as many as are kept
            context.enqueue(rows(height), HostMemory())
        context.enqueue(rows(20), HostMemory())
        context.enqueue(rows(2), HostMemory())
    assert made == [4, 2, *range(5, 21), 2]


def test_new_shapes_are_prepared_before_the_enqueue(flavour, interface) -> None:
    with dynamic_layer(flavour, interface).context() as context:
        context.announce(*context.descs([(4, 5), (2,), (5,)]))
        before = context.adapter.core.prepared
        assert before is not None
        context.enqueue(rows(4), HostMemory())
        assert context.adapter.core.prepared is before


def test_a_plugin_of_a_plan_compiles_early_for_the_ends_of_its_profile(
    flavour, interface, monkeypatch
) -> None:
    early: list[tuple[Plugin, list[int]]] = []

    def begin(plugin, coming):
        early.append((plugin, [inputs[0].shape[0] for inputs, _ in coming]))

    layer = dynamic_layer(flavour, interface)
    monkeypatch.setattr("pluginkit.trt.fields.compile_early", begin)
    with layer.context():
        (plugin, heights), *rest = early
    assert (plugin, rest) == (PadRows(**ATTRIBUTES), [])
    assert heights == ([0, 64] if interface == "v2" else [0, 4, 64])


def test_the_slot_that_is_replaced_is_that_of_enqueue(flavour, interface) -> None:
    called: list[tuple[int, int]] = []
    with dynamic_layer(flavour, interface).context() as context:
        context.adapter.enqueue = lambda *given: called.append(given[-2:])
        address, slot = context.adapter.core.native.place
        vtable = ctypes.c_uint64.from_address(address).value
        enqueue = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 7)(
            ctypes.c_uint64.from_address(vtable + 8 * slot).value
        )
        zeros = bytes(4096)  # stands for descriptions and for arrays of pointers
        assert enqueue(address, zeros, zeros, zeros, zeros, 512, 7) == 0
    assert called == [(512, 7)]


def test_v2_that_was_not_told_of_new_shapes_notices(flavour, monkeypatch) -> None:
    layer, plugin = dynamic_layer(flavour, "v2"), PadRows(**ATTRIBUTES)
    with layer.context() as context:
        context.enqueue(rows(4), HostMemory())
        monkeypatch.setattr(context, "announce", lambda *descs: None)
        for height in (9, 9, 0, 64):
            outputs = context.enqueue(rows(height), HostMemory())
            assert equal(outputs, calls.run_reference(plugin, rows(height))), height


def test_v2_that_was_not_told_compares_every_input(flavour, monkeypatch) -> None:
    profile = Profile([(1, 5), (1,), (5,)], [(4, 5), (2,), (5,)], [(9, 5), (4,), (5,)])
    types, plugin = [float32, int64, float32], PadRows()
    layer = build_layer(plugin, profile, types, interface="v2", flavour=flavour)
    x, numbers, bias = rows(4)
    arrays = [x, np.array([*numbers, 7]), bias]
    with layer.context() as context:
        context.announce(*context.descs([(4, 5), (2,), (5,)]))
        monkeypatch.setattr(context, "announce", lambda *descs: None)
        outputs = context.enqueue(arrays, HostMemory())  # of which x alone is as it was told
    assert equal(outputs, calls.run_reference(plugin, arrays))
