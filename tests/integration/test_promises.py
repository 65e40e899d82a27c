"""A plan is not loaded by a plugin that would write beyond the memory that was set aside for it."""

import dataclasses
import re
from typing import Any

import pytest
from host_plugins import PadRows
from onnx import TensorProto
from test_traps import build_with_rtx, model_of

from pluginkit import float16, float32, int64
from pluginkit.errors import CallbackError, PlanError
from pluginkit.testing.driver import Profile, build_layer
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.promises import promise, promises_from_text
from pluginkit.trt.registry import register

pytestmark = pytest.mark.trt

LARGEST = [(64, 5), (2,), (5,)]


def built(flavour: Any, interface: str) -> Any:
    profile = Profile([(0, 5), (2,), (5,)], [(4, 5), (2,), (5,)], LARGEST)
    types = [float32, int64, float32]
    return build_layer(PadRows(repeats=2), profile, types, interface=interface, flavour=flavour)


def change(monkeypatch: pytest.MonkeyPatch, **methods: Any) -> None:
    for name, method in methods.items():
        monkeypatch.setattr(PadRows, name, method)


def test_a_plugin_that_needs_more_workspace_now_is_refused(flavour, interface, monkeypatch) -> None:
    layer = built(flavour, interface)
    change(monkeypatch, workspace_bytes=lambda self, x, rows, bias: x.nbytes * 2 + 1)
    with pytest.raises(CallbackError) as caught, layer.context():
        pass
    assert isinstance(caught.value.__cause__, PlanError)
    text = str(caught.value.__cause__)
    outputs = "outputs of float32 [128, 5], int64 [2]"
    assert f"PK216 PadRows: the plan was built with {outputs} and 2560 bytes of workspace" in text
    assert f"the plugin that is here has {outputs} and 2561 bytes of workspace" in text
    assert "for inputs of float32 [64, 5], int64 [2], float32 [5]" in text
    assert "build the plan again" in text


def test_a_plugin_that_needs_less_workspace_now_is_taken(flavour, interface, monkeypatch) -> None:
    layer = built(flavour, interface)
    change(monkeypatch, workspace_bytes=lambda self, x, rows, bias: 0)
    with layer.context() as context:
        assert context.adapter.core.plugin == PadRows(repeats=2)


@pytest.mark.parametrize(
    "changed",
    [
        {"output_shapes": lambda self, x, rows, bias: ((x.shape[0] * 2, 6), rows.shape)},
        {"output_shapes": lambda self, x, rows, bias: ((x.shape[0], x.shape[1]), rows.shape)},
        {"output_types": lambda self, x, rows, bias: (float16, int64)},
    ],
    ids=["larger", "smaller", "another type"],
)
def test_a_plugin_with_other_outputs_now_is_refused(
    flavour, interface, monkeypatch, changed
) -> None:
    layer = built(flavour, interface)
    if "output_types" in changed:
        overrides = PadRows.spec.overrides | {"output_types"}
        monkeypatch.setattr(PadRows, "spec", dataclasses.replace(PadRows.spec, overrides=overrides))
    change(monkeypatch, **changed)
    with pytest.raises(CallbackError, match="PK216"), layer.context():
        pass


def test_what_the_author_says_of_the_shapes_now_comes_through(
    flavour, interface, monkeypatch
) -> None:
    def output_shapes(self: Any, x: Any, rows: Any, bias: Any) -> Any:
        raise ValueError("no more than 63 rows")

    layer = built(flavour, interface)
    change(monkeypatch, output_shapes=output_shapes)
    with pytest.raises(CallbackError, match="no more than 63 rows"), layer.context():
        pass


def test_a_real_plan_holds_what_the_plugin_said(rtx) -> None:
    register(PadRows, flavour=rtx)
    plugin = PadRows(repeats=3).with_inputs("x", "rows")
    inputs = {"x": (TensorProto.FLOAT, ["n", 5]), "rows": (TensorProto.INT64, ["m"])}
    outputs = {"y": (TensorProto.FLOAT, ["k", 5]), "count": (TensorProto.INT64, ["m"])}
    with callback_errors():
        plan = bytes(build_with_rtx(rtx, model_of(plugin, inputs, outputs)))
    (text,) = set(re.findall(rb'\[\{"shapes":.*?\}\](?=\0)', plan))
    (said,) = promises_from_text(text.decode(), "PadRows")
    assert said == promise(plugin, [(8, 5), (8,)], [float32, int64], said.told)
    assert said.workspace_bytes == 2 * 8 * 5 * 4
    assert [shape for shape, _ in said.outputs] == [(24, 5), (8,)]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"shapes": [[1]]}]', "[" * 100_000])
def test_a_damaged_text_is_a_clear_error(text: str) -> None:
    with pytest.raises(PlanError, match="PK207 PadRows: what the plan holds of the build"):
        promises_from_text(text, "PadRows")
