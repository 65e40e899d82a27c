import numpy as np
import onnx.parser
import pytest

from pluginkit.graph_rewrites.round_up_in_integers import RoundUpInIntegers
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime

CHOSEN = RewriteChoice(also=["RoundUpInIntegers"])
MODEL = """<ir_version: 9, opset_import: ["" : 17]> g (float[n, 3] x) => (float[r, m] y)
<int64 first = {0}, float c = {DIVISOR}, int64[2] rest = {-1, 1}, int64[1] front = {0}> {
    shape = Shape(x) n = Gather(shape, first) wide = Cast<to = 1>(n) part = Div(wide, c)
    up = Ceil(part) count = Cast<to = 7>(up) total = Unsqueeze(count, front)
    sums = ReduceSum<keepdims = 1>(x) row = Expand(sums, total) y = Reshape(row, rest) }"""


def changed(text):
    return rewrite_model(onnx.parser.parse_model(text), [RoundUpInIntegers], CHOSEN)


@pytest.mark.parametrize("divisor", ["1", "2", "5"])
def test_sizes_are_rounded_up(divisor):
    text = MODEL.replace("DIVISOR", divisor)
    model, result = onnx.parser.parse_model(text), changed(text)
    assert "Ceil" not in {node.op_type for node in result.model.graph.node}
    for rows in (1, 4, 5, 6, 11):
        feeds = {"x": np.ones((rows, 3), np.float32)}
        expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
        np.testing.assert_array_equal(got["y"], expected["y"])
    assert rewrite_model(result.model, [RoundUpInIntegers], CHOSEN).applied == []


@pytest.mark.parametrize(
    ("divisor", "old", "new", "reason"),
    [
        ("1.5", "", "", "its divisor is no whole number that the model stores"),
        ("-2", "", "", "its divisor is no whole number that the model stores"),
        ("2", "n = Gather(shape, first)", "k = Gather(shape, first) n = Neg(k)", "never negative"),
    ],
)
def test_other_numbers_are_left(divisor, old, new, reason):
    (refused,) = changed(MODEL.replace("DIVISOR", divisor).replace(old, new)).refused
    assert reason in refused.reason


def test_it_waits_to_be_chosen():
    model = onnx.parser.parse_model(MODEL.replace("DIVISOR", "2"))
    result = rewrite_model(model, [RoundUpInIntegers])
    assert (result.applied, result.opt_in) == ([], ["RoundUpInIntegers"])
