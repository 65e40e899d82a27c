import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.count_in_integers import CountInIntegers
from tests.graph_rewrites.rewriting import outputs_of, reason_against, run

#: As VITS numbers the frames that it predicts.
COUNTING = """<ir_version: 9, opset_import: ["" : 18]>
    g (INTEGER n) => (float[m] y) <float start = {START}, float step = {STEP}> {
    limit = Cast<to = 1>(n) [node] y = Range(start, limit, step) }"""


def counting(start="0.0", step="1.0", integer="int64"):
    given = {"INTEGER": integer, "START": start, "STEP": step}
    text = COUNTING
    for name, value in given.items():
        text = text.replace(name, value)
    return onnx.parser.parse_model(text)


@pytest.mark.parametrize("limit", [0, 7, -8])
@pytest.mark.parametrize(("start", "step"), [("0.0", "1.0"), ("3.0", "2.0"), ("2.0", "-3.0")])
def test_whole_numbers_are_counted_in_integers(start, step, limit):
    model, feeds = counting(start, step), {"n": np.array(limit)}
    (got,), (expected,) = outputs_of(CountInIntegers, model, feeds), run(model, feeds)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"step": "0.5"}, "its start or its step is no whole number that the model stores"),
        ({"step": "inf"}, "its start or its step is no whole number that the model stores"),
        ({"integer": "int32"}, "'n' is int32; expected int64"),
    ],
)
def test_others_are_left(options, reason):
    assert reason_against(CountInIntegers, counting(**options)) == reason
