import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_quantized_lstm import ExpandDynamicQuantizeLSTM
from tests.graph_rewrites.fused_samples import quantized_lstm
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import normal

REWRITES = [ExpandDynamicQuantizeLSTM]
HIDDEN = 6
ALL = {"y": ("float32", 4), "y_h": ("float32", 3), "y_c": ("float32", 3)}


def lstm_model(*, rows=3, dtype="int8", directions=1, outputs=ALL, given=None, **options):
    inputs = {"x": normal(7, rows, 4), **quantized_lstm(4, HIDDEN, dtype, directions)}
    inputs |= given or {}
    options = {"hidden_size": HIDDEN, "dims": {"x": ("steps", "rows", 4)}, **options}
    model = microsoft_model("DynamicQuantizeLSTM", inputs, outputs, **options)
    return model, feeds_of(model, inputs)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_each_step_rounds_the_hidden_values(dtype, rows, direction):
    directions = 2 if direction == "bidirectional" else 1
    model, feeds = lstm_model(rows=rows, dtype=dtype, directions=directions, direction=direction)
    assert_spelled_out(model, feeds, REWRITES)


@pytest.mark.parametrize("outputs", [{"y": ALL["y"]}, {"": ("float32", 4), "y_h": ALL["y_h"]}])
def test_columns_have_scales_and_outputs_may_be_absent(outputs):
    names = ("w_scale", "w_zero", "r_scale", "r_zero")
    scales = np.linspace(0.005, 0.02, 4 * HIDDEN, dtype=np.float32)[None]
    given = dict(zip(names, (scales, np.zeros((1, 24), np.int8)) * 2, strict=True))
    model, feeds = lstm_model(given=given, outputs=outputs)
    assert_spelled_out(model, feeds, REWRITES)


def test_a_bias_peepholes_and_first_values_may_be_given():
    given = {"b": normal(1, 8 * HIDDEN), "p": normal(1, 3 * HIDDEN)}
    given |= {"h": normal(1, 3, HIDDEN), "c": normal(1, 3, HIDDEN)}
    model, feeds = lstm_model(given=given)
    assert_spelled_out(model, feeds, REWRITES)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"given": {"lengths": np.int32([7, 5, 2])}}, "its rows have lengths of their own"),
        ({"clip": 1.0}, "its gates are coupled, or its values are clipped"),
        ({"input_forget": 1}, "its gates are coupled, or its values are clipped"),
        (
            {"activations": ["Sigmoid", "Relu", "Tanh"]},
            "its activations are not those of ONNX's LSTM",
        ),
        ({"hidden_size": 5}, "its hidden size is unknown, or does not fit its weights"),
        ({"opset": 12}, "its steps need opset 13; the model has 12"),
    ],
)
def test_other_steps_are_left(options, reason):
    model, _ = lstm_model(**options)
    assert reason_against(ExpandDynamicQuantizeLSTM, model) == reason
