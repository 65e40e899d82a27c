"""A Loop that collects until a counter reaches a limit gets the number of its runs."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.limit_counted_loop import LimitCountedLoop
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run

X = np.array([1, 2, 3], np.float32)
TF2ONNX = "a = Cast<to = 1>(after) b = Cast<to = 1>(m) on = Less(a, b)"
#: The condition in front of a Loop, and what makes that of its body.
TAKEN = {
    "as tf2onnx writes it": ("Less(zero, n)", TF2ONNX),
    "compared the other way": ("Greater(n, zero)", "on = Greater(m, after)"),
    "begun": ("Identity(n)", TF2ONNX),
    "a limit from outside": ("Less(zero, n)", "on = Less(after, n)"),
}
LEFT = {
    "at most": ("LessOrEqual(zero, n)", "on = LessOrEqual(after, m)"),
    "another condition in front": ("Less(one, n)", "on = Less(after, m)"),
    "a limit that moves": ("Less(zero, n)", "b = Add(m, one) on = Less(after, b)"),
    "data": ("Less(zero, n)", "s = ReduceMax<keepdims = 0>(h) b = Cast<to = 6>(s) on = Less(b, m)"),
}


def collecting(before, last, *, limit="", first="zero", step="one"):
    """A Loop that doubles x, collects it each time, and counts to n."""
    condition = "true" if before.startswith("Identity") else "c"
    return onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (int32 n, float[3] x) => (int32 k, float[3] z, float[r, 3] y)
        <int32 zero = {{0}}, int32 one = {{1}}, int32 two = {{2}}, bool true = {{1}},
         int64 four = {{4}}, int64 most = {{{np.iinfo(np.int64).max}}}>
        {{ c = {before} k, other, z, y = Loop({limit}, {condition}, {first}, n, x) <body = b
            (int64 run, bool go, int32 i, int32 m, float[3] h) =>
            (bool on, int32 after, int32 m, float[3] grown, float[3] row) {{
            grown = Add(h, h) row = Identity(h) after = Add(i, {step}) {last} }}> }}"""
    )


@pytest.mark.parametrize(("limit", "first"), [("", "two"), ("most", "zero")])
@pytest.mark.parametrize("name", TAKEN)
def test_it_runs_as_often(name, limit, first):
    before, last = TAKEN[name]
    model = collecting(before.replace("zero", first), last, limit=limit, first=first)
    result = rewrite_model(model, [LimitCountedLoop])
    assert [each.rewrite for each in result.applied] == ["LimitCountedLoop"]
    onnx.checker.check_model(result.model, full_check=True)
    for n in (5, 1, -1):
        feeds = {"n": np.int32(n), "x": X}
        for got, expected in zip(run(result.model, feeds), run(model, feeds), strict=True):
            np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, [LimitCountedLoop]).applied == []


def test_nothing_but_the_number_ends_it():
    result = rewrite_model(collecting(*TAKEN["begun"]), [LimitCountedLoop])
    node = next(each for each in result.model.graph.node if each.op_type == "Loop")
    (body,) = (each.g for each in node.attribute)
    (kept,) = (each for each in body.node if each.output[0] == body.output[0].name)
    assert node.input[0]
    assert (kept.op_type, kept.input[0]) == ("Identity", body.input[1].name)


@pytest.mark.parametrize(
    "model",
    [
        *(collecting(*each) for each in LEFT.values()),
        collecting(*TAKEN["as tf2onnx writes it"], limit="four"),
        collecting(*TAKEN["as tf2onnx writes it"], step="two"),
    ],
    ids=[*LEFT, "a limit of its own", "two at a time"],
)
def test_what_another_number_may_end_is_left(model):
    result = rewrite_model(model, [LimitCountedLoop])
    assert result.applied == []
    assert result.model == model
