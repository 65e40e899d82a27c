import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.expand_bag_sequence import ExpandBagSequence
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime

#: As PyTorch's second exporter writes an EmbeddingBag.
TEXT = """<ir_version: 10, opset_import: ["" : 20]>
    t (float[rows, 4] w, int64[all] offsets, int64 count) => (float[bags, 4] y)
    <int64 zero = {{0}}, int64 one = {{1}}, int64 two = {{2}}, int64[1] flat = {{-1}},
     int64[1] first = {{0}}> {{
    empty = SequenceEmpty()
    some = Less(zero, count)
    last, sums = Loop("", some, {start}, empty) <body = b
        (int64 run, bool go, int64 number, seq(float[1, 4]) given)
        => (bool more, int64 next, seq(float[1, 4]) grown) <int64 step = {{1}}> {{
        at = Reshape(number, flat) after = Add(at, one) start = Slice(offsets, at, after)
        from = Add(at, one) to = Add(at, two) end = Slice(offsets, from, to)
        none = Equal(start, end)
        row = If(none) <then_branch = p () => (float[1, 4] z)
            <float[1, 4] z = {{0.0, 0.0, 0.0, 0.0}}> {{ }},
            else_branch = q () => (float[1, 4] r) {{
                part = Slice(w, start, end) r = {reduction}(part, first) }}>
        grown = SequenceInsert(given, row) next = Add(number, step) more = Less(next, count)
    }}>
    y = ConcatFromSequence<axis = 0>(sums) }}"""
FEEDS = {
    "w": np.random.default_rng(2).standard_normal((6, 4)).astype(np.float32),
    "offsets": np.array([0, 2, 2, 6]),
    "count": np.array(3),
}


def bags_model(reduction="ReduceSum", start="zero"):
    return onnx.parser.parse_model(TEXT.format(reduction=reduction, start=start))


def test_sums_that_are_appended_are_a_product():
    model = bags_model()
    result = rewrite_model(model, [ExpandBagSequence])
    assert [each.rewrite for each in result.applied] == ["ExpandBagSequence"]
    expected, got = run_onnxruntime(model, FEEDS), run_onnxruntime(result.model, FEEDS)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-6, atol=1e-6)
    assert rewrite_model(result.model, [ExpandBagSequence]).applied == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"reduction": "ReduceMax"}, "its loop is none over bags"),
        ({"start": "one"}, "its loop does not count bags from 0 on"),
    ],
)
def test_other_loops_are_left(options, reason):
    (refused,) = rewrite_model(bags_model(**options), [ExpandBagSequence]).refused
    assert refused.reason == reason
