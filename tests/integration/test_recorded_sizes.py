"""A plan is not loaded by a plugin that would write beyond the memory that was set aside for it."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from pluginkit import float16, float32, int64
from pluginkit.checking.trt_double.driver import Profile, build_layer
from pluginkit.device.memory import HostMemory
from pluginkit.errors import CallbackError, PlanError
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.plugin_registry import register
from pluginkit.trt.recorded_sizes import RecordedSizes
from tests.integration.host_plugins import PadRows
from tests.integration.test_traps import build_with_rtx, model_of

pytestmark = pytest.mark.trt

TYPES = [float32, int64, float32]
Method = Callable[..., Any]


def built(flavour: Any, interface: str) -> Any:
    profile = Profile(*[[(rows, 5), (2,), (5,)] for rows in (0, 4, 64)])
    return build_layer(PadRows(repeats=2), profile, TYPES, interface=interface, flavour=flavour)


def workspace(change: Method) -> dict[str, Method]:
    return {"workspace_bytes": lambda self, x, rows, bias: change(x)}


def outputs(change: Method) -> dict[str, Method]:
    return {"output_shapes": lambda self, x, rows, bias: change(x, rows)}


REFUSED = {
    "more workspace": (
        workspace(lambda x: x.nbytes * 2 + 1),
        "built with 2560 bytes of workspace; the plugin has 2561 now, for inputs of "
        "float32 [64, 5], int64 [2], float32 [5]",
    ),
    "more workspace for the smallest": (
        workspace(lambda x: 2561 if x.shape[0] == 0 else x.nbytes * 2),
        "built with 2560 bytes of workspace; the plugin has 2561 now, for inputs of "
        "float32 [0, 5], int64 [2], float32 [5]",
    ),
    "a wider output": (
        outputs(lambda x, rows: ((x.shape[0] * 2, 6), rows.shape)),
        "built with y float32 [4, 5]; the plugin has float32 [0, 6] now",
    ),
    "outputs that agree for the largest": (
        outputs(lambda x, rows: ((x.shape[0] + 64, 5), rows.shape)),
        "built with y float32 [4, 5]; the plugin has float32 [64, 5] now",
    ),
    "a shape function that refuses": (
        outputs(lambda x, rows: 1 // 0),
        "built for inputs of float32 [0, 5], int64 [2], float32 [5], which the plugin refuses now",
    ),
}


@pytest.mark.parametrize("change", REFUSED)
def test_a_plugin_that_was_changed_is_refused(flavour, interface, change, monkeypatch) -> None:
    layer = built(flavour, interface)
    methods, said = REFUSED[change]
    for name, method in methods.items():
        monkeypatch.setattr(PadRows, name, method)
    with pytest.raises(CallbackError) as caught, layer.context():
        pass
    error = caught.value.__cause__
    assert isinstance(error, PlanError)
    assert f"PK216 PadRows: the plan was {said}" in str(error)
    assert "build the plan again" in error.fix


def test_a_plugin_with_another_output_type_is_refused(flavour, interface, monkeypatch) -> None:
    layer = built(flavour, interface)
    overrides = PadRows.spec.overrides | {"output_types"}
    monkeypatch.setattr(PadRows, "spec", dataclasses.replace(PadRows.spec, overrides=overrides))
    monkeypatch.setattr(PadRows, "output_types", lambda self, x, rows, bias: (float16, int64))
    with pytest.raises(CallbackError, match=r"PK216.*float16 \[4, 5\] now"), layer.context():
        pass


def test_a_plugin_that_needs_less_workspace_now_is_taken(flavour, interface, monkeypatch) -> None:
    layer = built(flavour, interface)
    monkeypatch.setattr(PadRows, "workspace_bytes", lambda self, x, rows, bias: 0)
    with layer.context() as context:
        assert context.adapter.core.plugin == PadRows(repeats=2)


def test_a_workspace_that_shrinks_with_the_shapes_is_refused_where_it_is_too_small(
    flavour, interface, monkeypatch
) -> None:
    needed = {0: 500, 4: 500, 9: 501, 10: 400, 64: 400}
    monkeypatch.setattr(PadRows, "workspace_bytes", lambda self, x, rows, bias: needed[x.shape[0]])
    layer = built(flavour, interface)
    assert layer.workspace_bytes == 500  # the most that was said at the profile's ends

    def enqueue(rows: int) -> None:
        arrays = [np.ones((rows, 5), np.float32), np.ones(2, np.int64), np.ones(5, np.float32)]
        with layer.context() as context:
            context.enqueue(arrays, HostMemory())

    enqueue(10)
    with pytest.raises(CallbackError, match="PK217 PadRows needs 501 bytes of workspace.*for 500"):
        enqueue(9)


def test_a_plan_that_was_loaded_keeps_it_when_it_is_saved_again(flavour, interface) -> None:
    layer = built(flavour, interface)
    with layer.context() as context:
        assert set(context.adapter.core.recorded_sizes) == set(layer.adapter.core.recorded_sizes)
        assert any(context.adapter.core.recorded_sizes)


def test_sizes_recorded_after_the_size_was_asked_for_are_kept_too(flavour, interface) -> None:
    adapter = built(flavour, interface).adapter.clone()
    core = adapter.core

    def serialized() -> Any:
        if interface == "v2":
            assert adapter.get_serialization_size() == len(adapter.serialize())
            return adapter.serialize().decode()
        return [bytes(field.data) for field in adapter.get_fields_to_serialize()]

    before = serialized()
    core.recorded_sizes.record(core.plugin, [(7, 5), (2,), (5,)], TYPES, ())
    assert str(serialized()).count("[7,5]") == 1 + str(before).count("[7,5]")


def test_a_real_plan_holds_the_recorded_sizes(rtx) -> None:
    register(PadRows, flavour=rtx)
    plugin = PadRows(repeats=3).with_inputs("x", "rows")
    inputs = {"x": (TensorProto.FLOAT, ["n", 5]), "rows": (TensorProto.INT64, ["m"])}
    results = {"y": (TensorProto.FLOAT, ["k", 5]), "count": (TensorProto.INT64, ["m"])}
    with callback_errors():
        plan = bytes(build_with_rtx(rtx, model_of(plugin, inputs, results)))
    (text,) = set(re.findall(rb'\[\{"shapes":.*?\}\](?=\0)', plan))
    said = RecordedSizes.from_text(text.decode(), plugin)
    assert [one.shapes for one in said] == [((n, 5), (n,)) for n in (1, 4, 8)]
    assert [one.workspace_bytes for one in said] == [2 * n * 5 * 4 for n in (1, 4, 8)]
    assert [one.outputs[0] for one in said] == [((n, 5), float32) for n in (4, 12, 24)]
