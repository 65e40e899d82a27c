import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.gather_slices import GatherSlices, MaskSlices
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.samples import normal

FEEDS = {"x": normal(5, 6), "h": normal(6)}
#: Bounds: of one row, of two rows or fewer, of a beginning, and from the end.
BOUNDS = {
    "k : k + 1": "e = Add(k, one) s = Unsqueeze(k, ax) t = Unsqueeze(e, ax)",
    "k : k + 2": "e = Add(k, two) s = Unsqueeze(k, ax) t = Unsqueeze(e, ax)",
    ": k + 1": "e = Add(k, one) t = Unsqueeze(e, ax) s = Identity(ax)",
    "-k - 1 :": "n = Neg(k) e = Sub(n, one) s = Unsqueeze(e, ax) t = Identity(five)",
}


def loop(bounds, reduced="q = ReduceSum<keepdims = 0>(r, ax)"):
    """h + the reduced slices of x, in a Loop of as many steps as x has rows."""
    return onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (float[5,6] x, float[6] h) => (float[6] y)
        <int64 one = {{1}}, int64 two = {{2}}, int64[1] ax = {{0}}, int64[1] five = {{5}},
         int64 steps = {{5}}, bool true = {{1}}, float half = {{0.5}}, float more = {{1.5}}>
        {{ y = Loop(steps, true, h) <body = b (int64 k, bool go, float[6] before) =>
            (bool on, float[6] after) {{
            {bounds} r = Slice(x, s, t, ax) {reduced}
            after = Add(before, q) on = Identity(true) }}> }}"""
    )


def slices_left(model):
    (loop_node,) = model.graph.node
    return [node.op_type for node in loop_node.attribute[0].g.node].count("Slice")


@pytest.mark.parametrize("reduction", ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("bounds", BOUNDS)
def test_a_loop_without_slices_gives_the_same(bounds, reduction):
    axes = "(r, ax)" if reduction == "ReduceSum" else "<axes = [0]>(r)"
    text = f"p = {reduction}{axes} q = Squeeze(p, ax)"
    model = loop(BOUNDS[bounds], text)
    result = rewrite_model(model, [GatherSlices, MaskSlices])
    taken = "GatherSlices" if bounds == "k : k + 1" else "MaskSlices"
    assert [each.rewrite for each in result.applied] == [taken]
    assert slices_left(result.model) == 0
    assert rewrite_model(result.model, [GatherSlices, MaskSlices]).applied == []
    (got,) = run_onnxruntime(result.model, FEEDS).values()
    np.testing.assert_allclose(got, run_onnxruntime(model, FEEDS)["y"], rtol=1e-5, atol=1e-6)


def test_the_row_before_the_first_one_is_empty():
    model = loop("e = Sub(k, one) s = Unsqueeze(e, ax) t = Unsqueeze(k, ax)")
    result = rewrite_model(model, [GatherSlices, MaskSlices])
    assert [each.rewrite for each in result.applied] == ["MaskSlices"]
    (got,) = run_onnxruntime(result.model, FEEDS).values()
    np.testing.assert_allclose(got, run_onnxruntime(model, FEEDS)["y"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("bounds", "reduced", "reasons"),
    [
        (
            BOUNDS["k : k + 2"],
            "p = ReduceMax<axes = [1], keepdims = 1>(r) q = ReduceSum<keepdims = 0>(p, ax)",
            ["its bounds change in a loop", "it does not reduce the axis"],
        ),
        (
            "s = Identity(ax) t = Identity(five)",
            "q = ReduceSum<keepdims = 0>(r, ax)",
            ["its bounds do not change", "its bounds do not change"],
        ),
        (
            "f = Cast<to = 1>(k) u = Mul(f, half) v = Add(u, more) i = Cast<to = 7>(u) "
            "j = Cast<to = 7>(v) s = Unsqueeze(i, ax) t = Unsqueeze(j, ax)",
            "p = ReduceMax<axes = [1], keepdims = 1>(r) q = ReduceSum<keepdims = 0>(p, ax)",
            ["its bounds change in a loop", "it does not reduce the axis"],
        ),
        (
            BOUNDS["k : k + 2"],
            "p = ReduceSum<noop_with_empty_axes = 1>(r) q = ReduceMax<axes = [0], keepdims = 0>(p)",
            ["its bounds change in a loop", "without axes it reduces nothing"],
        ),
        (
            "s = Identity(k) t = Add(k, one)",
            "q = ReduceSum<keepdims = 0>(r, ax)",
            ["its bounds are scalars", "it is one element, which GatherSlices takes"],
        ),
    ],
)
def test_what_they_cannot_or_need_not_do_is_left(bounds, reduced, reasons):
    result = rewrite_model(loop(bounds, reduced), [GatherSlices, MaskSlices])
    assert result.applied == []
    said = [one.reason for one in sorted(result.refused, key=lambda one: one.rewrite)]
    assert all(reason in one for reason, one in zip(reasons, said, strict=True))
