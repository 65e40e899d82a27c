import numpy as np
import pytest

from pluginkit.graph_rewrites.couple_gates import CoupleGates
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model, normal

STEPS, BATCH, FEATURES, HIDDEN = 5, 3, 4, 6


def lstm(directions=1, **attributes):
    rows = 4 * HIDDEN
    inputs = {
        "x": normal(STEPS, BATCH, FEATURES),
        "w": normal(directions, rows, FEATURES),
        "r": normal(directions, rows, HIDDEN),
        "b": normal(directions, 2 * rows),
        "lengths": np.array([5, 2, 3], np.int32),
        "hidden": normal(directions, BATCH, HIDDEN),
        "cell": normal(directions, BATCH, HIDDEN),
        "p": normal(directions, 3 * HIDDEN),
    }
    stored = ["w", "r", "b", "p"]
    feeds = {name: array for name, array in inputs.items() if name not in stored}
    attributes = {"input_forget": 1, "hidden_size": HIDDEN, **attributes}
    outputs = ("y", "y_h", "y_c")
    return node_model("LSTM", inputs, stored=stored, outputs=outputs, **attributes), feeds


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_what_is_kept_is_what_is_not_taken_in(direction):
    model, feeds = lstm(2 if direction == "bidirectional" else 1, direction=direction, clip=1.5)
    for got, expected in zip(
        outputs_of(CoupleGates, model, feeds), run_onnxruntime(model, feeds).values(), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"input_forget": 0}, "its gates are not coupled"),
        ({"activations": ["HardSigmoid", "Tanh", "Tanh"]}, "its coupled gates are no Sigmoid"),
    ],
)
def test_what_it_cannot_or_need_not_do_is_left(attributes, reason):
    model, _ = lstm(**attributes)
    assert reason in reason_against(CoupleGates, model)
