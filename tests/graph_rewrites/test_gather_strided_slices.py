"""Slices of TensorFlow that take one element in a loop become Gathers."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.gather_strided_slices import GatherStridedSlices
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run
from tests.graph_rewrites.samples import normal

FEEDS = {"x": normal(4, 5, 3)}
#: tf2onnx's nodes for x[:, k]: masks choose between the bounds and those that are left out.
MASKED = (
    "p = Concat<axis = 0>(nul, kv) s = Where(no, fars, p) "
    "q = Concat<axis = 0>(nul, ev) f = Cast<to = 1>(q) g2 = Max(f, farf) g3 = Cast<to = 7>(g2) "
    "eq = Equal(g3, fars) m = And(eq, no) t = Where(m, zeros, g3)"
)
#: What makes the starts s and the ends t, the axes, and the steps.
TAKEN = {
    "x[:, k]": (MASKED, "a01", "longs"),
    "x[k]": ("s = Identity(kv) t = Identity(far)", "nul", "far"),
    "x[1:3, k]": ("s = Concat<axis = 0>(one, kv) t = Concat<axis = 0>(three, far)", "a01", "longs"),
    "x[:, k:k + 1]": ("s = Concat<axis = 0>(nul, kv) t = Concat<axis = 0>(far, ev)", "a01", "ones"),
}  # fmt: skip
LEFT = {
    "x[k:k + 1, k:k + 1]": (
        "s = Concat<axis = 0>(kv, kv) t = Concat<axis = 0>(ev, ev)", "a01", "ones",
        "its bounds follow from no stored masks",
    ),
    "x[:, k:]": (
        "s = Concat<axis = 0>(nul, kv) t = Identity(fars)", "a01", "ones",
        "it takes more than one element where its bounds change",
    ),
    "x[:, :k]": (
        "s = Identity(zeros) t = Concat<axis = 0>(far, kv)", "a01", "ones",
        "it begins at a stored place and ends at one that changes",
    ),
    "by a mask that is computed": (
        "w = Less(kv, one) s = Where(w, fars, zeros) t = Identity(fars)", "a01", "ones",
        "its bounds follow from no stored masks",
    ),
    "along one axis": (
        "s = Identity(kv) t = Identity(ev)", "nul", "one",
        "it has one axis, which GatherSlices takes",
    ),
    "the last one, which is empty at first": (
        "b = Sub(kv, one) s = Concat<axis = 0>(nul, b) t = Concat<axis = 0>(far, kv)",
        "a01", "ones", "it takes more than one element where its bounds change",
    ),
}  # fmt: skip


def loop(bounds, axes, steps):
    return onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (float[4, 5, 3] x) => (float y)
        <int64 four = {{4}}, bool true = {{1}}, int64[1] nul = {{0}}, int64[1] one = {{1}},
         int64[1] three = {{3}}, int64[2] zeros = {{0, 0}}, int64[1] far = {{1000000000}},
         int64[2] fars = {{1000000000, 1000000000}}, float[2] farf = {{1e9, 1e9}},
         int64[2] ones = {{1, 1}}, int64[2] longs = {{1, 1000000000}}, bool[2] no = {{0, 0}},
         int64[2] a01 = {{0, 1}}, float start = {{0}}>
        {{ y = Loop(four, true, start) <body = b (int64 k, bool go, float h) =>
            (bool on, float after) {{ on = Identity(go)
            kv = Unsqueeze(k, nul) ev = Add(kv, one) {bounds} r = Slice(x, s, t, {axes}, {steps})
            total = ReduceSum<keepdims = 0>(r) after = Add(h, total) }}> }}"""
    )


@pytest.mark.parametrize("name", TAKEN)
def test_it_takes_the_same_element(name):
    model = loop(*TAKEN[name])
    result = rewrite_model(model, [GatherStridedSlices])
    assert [each.rewrite for each in result.applied] == ["GatherStridedSlices"]
    onnx.checker.check_model(result.model, full_check=True)
    for got, expected in zip(run(result.model, FEEDS), run(model, FEEDS), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert rewrite_model(result.model, [GatherStridedSlices]).applied == []


@pytest.mark.parametrize("name", LEFT)
def test_another_slice_is_left(name):
    *given, reason = LEFT[name]
    model = loop(*given)
    result = rewrite_model(model, [GatherStridedSlices])
    assert result.model == model
    assert [each.reason for each in result.refused] == [reason]
