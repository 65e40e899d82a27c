import numpy as np
import onnx.numpy_helper
import onnx.parser
import pytest

from pluginkit.graph_rewrites.widen_recurrent import IsolateRecurrent, WidenRecurrent
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model, normal

STEPS, BATCH, FEATURES, HIDDEN = 5, 3, 4, 6
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def layer(op_type, dtype, *, has_lengths=True, has_state=False, outputs=("y", "y_h")):
    rows = GATES[op_type] * HIDDEN
    inputs = {
        "x": normal(STEPS, BATCH, FEATURES).astype(dtype),
        "w": normal(2, rows, FEATURES).astype(dtype),
        "r": normal(2, rows, HIDDEN).astype(dtype),
    }
    if has_lengths:
        inputs |= {"b": None, "lengths": np.array([5, 2, 3], np.int32)}
    if has_state:
        inputs |= {"hidden": normal(2, BATCH, HIDDEN).astype(dtype)}
    stored = ["w", "r"]
    feeds = {name: a for name, a in inputs.items() if a is not None and name not in stored}
    attributes = {"hidden_size": HIDDEN, "direction": "bidirectional"}
    return node_model(op_type, inputs, stored=stored, outputs=outputs, **attributes), feeds


@pytest.mark.parametrize("op_type", GATES)
def test_halves_of_several_lengths_are_computed_in_float32(op_type):
    model, feeds = layer(op_type, np.float16, has_state=True)
    got = outputs_of(WidenRecurrent, model, feeds)
    exact, _ = layer(op_type, np.float32, has_state=True)
    wide = {n: a.astype(np.float32) if n != "lengths" else a for n, a in feeds.items()}
    for initializer, half in zip(exact.graph.initializer, model.graph.initializer, strict=True):
        array = onnx.numpy_helper.to_array(half).astype(np.float32)
        initializer.CopyFrom(onnx.numpy_helper.from_array(array, half.name))
    for one, other in zip(got, run_onnxruntime(exact, wide).values(), strict=True):
        assert one.dtype == np.float16
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_an_unnamed_output_stays_unnamed():
    model, feeds = layer("GRU", np.float16, outputs=("", "y_h"))
    (got,) = outputs_of(WidenRecurrent, model, feeds)
    np.testing.assert_allclose(got, run_onnxruntime(model, feeds)["y_h"], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("dtype", "has_lengths", "reason"),
    [(np.float16, False, "it has no sequence_lens"), (np.float32, True, "is float32")],
)
def test_what_tensorrt_takes_is_left(dtype, has_lengths, reason):
    model, _ = layer("LSTM", dtype, has_lengths=has_lengths)
    assert reason in reason_against(WidenRecurrent, model)


def converted(between: str, source: str = "float16"):
    """A layer that reads a Cast, behind what is between."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g ({source}[5, 3, 4] x)
        => (float[5, 1, 3, 6] y) {{ c = Cast<to = 1>(x) t = {between}
        y = GRU<hidden_size = 6>(t, w, r) }}"""
    )
    model.graph.node[-1].name = "node"
    for name, columns in (("w", 4), ("r", 6)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(normal(1, 18, columns), name))
    return model


@pytest.mark.parametrize("between", ["Identity(c)", "Transpose<perm = [0, 1, 2]>(c)"])
def test_a_layer_behind_a_cast_reads_the_same_numbers(between):
    model, feeds = converted(between), {"x": normal(5, 3, 4).astype(np.float16)}
    (got,) = outputs_of(IsolateRecurrent, model, feeds)
    np.testing.assert_array_equal(got, run_onnxruntime(model, feeds)["y"])


@pytest.mark.parametrize(
    ("between", "source", "reason"),
    [
        ("Tanh(c)", "float16", "it reads neither a Cast"),
        ("Identity(c)", "double", "'x' is float64"),
    ],
)
def test_a_layer_behind_something_else_is_left(between, source, reason):
    assert reason in reason_against(IsolateRecurrent, converted(between, source))
