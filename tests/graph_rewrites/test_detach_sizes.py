"""Sizes that follow from floating-point inputs are detached from them by a CumSum."""

import numpy as np
import pytest

from pluginkit import BuildOptions, build_engine
from pluginkit.graph_rewrites.detach_sizes import DetachIntegers, DetachSizes
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run
from tests.graph_rewrites.test_fold_known import model_of, op_types

TEXT = """ g (float[4, 3] x, float[4] d) => (OUTPUT y)
<int64[1] first = {0}, int64[1] one = {1}, int64[1] three = {3}, int64 zero = {0}, int64 step = {1}>
{ e = Exp(d) r = Round(e) c = Cast<to = 7>(r) n = Slice(c, first, one, first) k = Squeeze(n)
  row = Slice(x, first, one, first) NODES }"""
#: What reads the size, of 2 for the second input, and the type of the output.
READERS = {
    "expand": ("s = Concat<axis = 0>(n, three) y = Expand(row, s)", "float[A, B]"),
    "range": ("y = Range(zero, k, step)", "int64[A]"),
    "fill": ("y = ConstantOfShape<value = float[1] {2}>(n)", "float[A]"),
    "tile": ("s = Concat<axis = 0>(n, one) y = Tile(row, s)", "float[A, B]"),
    "pad": ("p = Concat<axis = 0>(first, first, n, first) y = Pad(row, p)", "float[A, B]"),
    "slice": ("y = Slice(x, first, n, first)", "float[A, B]"),
    "top": ("y, i = TopK<axis = 0>(x, n)", "float[A, B]"),
    "resize": (
        "w = Unsqueeze(x, first) s = Concat<axis = 0>(one, n, three) "
        'y = Resize<mode = "linear">(w, , , s)',
        "float[A, B, C]",
    ),
    "loop": (
        "h = Constant<value = bool {1}>() w, y = Loop<body = b (int64 i, bool p, float[1, 3] v) "
        "=> (bool q, float[1, 3] t, float[1, 3] o) "
        "{ q = Identity(p) t = Add(v, v) o = Identity(t) }>(k, h, row)",
        "float[A, B, C]",
    ),
    "several": (
        "s = Concat<axis = 0>(n, three) z = Expand(row, s) p = Slice(x, first, n, first) "
        "y = Add(z, p)",
        "float[A, B]",
    ),
}
FEEDS = {
    "x": np.arange(12, dtype=np.float32).reshape(4, 3),
    "d": np.float32([0.7, 0.1, 1.2, 0.4]),
}


def size_model(name, *, of_integers=False):
    nodes, output = READERS[name]
    text = TEXT.replace("NODES", nodes).replace("OUTPUT", output)
    if of_integers:
        text = text.replace("float[4] d", "int64[4] d")
        text = text.replace("e = Exp(d) r = Round(e) c = Cast<to = 7>(r)", "c = Abs(d)")
    return model_of(text)


@pytest.mark.parametrize("name", READERS)
def test_a_size_of_a_float_input_is_detached(name):
    model = size_model(name)
    result = rewrite_model(model, [DetachSizes])
    assert op_types(result.model).count("CumSum") == 1
    (expected,), (got,) = run(model, FEEDS)[:1], run(result.model, FEEDS)[:1]
    np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, [DetachSizes]).applied == []


@pytest.mark.parametrize("name", READERS)
def test_a_size_of_integers_is_detached_where_that_is_asked_for(name):
    model = size_model(name, of_integers=True)
    asked = RewriteChoice(also=["DetachIntegers"])
    result = rewrite_model(model, [DetachSizes, DetachIntegers], asked)
    assert {each.rewrite for each in result.applied} == {"DetachIntegers"}
    feeds = {**FEEDS, "d": np.array([2, -1, 3, 1])}
    (expected,), (got,) = run(model, feeds)[:1], run(result.model, feeds)[:1]
    np.testing.assert_array_equal(got, expected)
    assert rewrite_model(model, [DetachSizes, DetachIntegers]).applied == []


@pytest.mark.trt
@pytest.mark.slow
@pytest.mark.parametrize("of_integers", [False, True])
@pytest.mark.parametrize("name", READERS)
def test_it_builds(name, of_integers, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(size_model(name, of_integers=of_integers).SerializeToString())
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])
    built = build_engine(path, tmp_path / "m.plan", options=options)
    assert built.manifest.plugins == ()


@pytest.mark.parametrize(
    "nodes",
    [
        "s = Shape(x) y = Expand(row, s)",
        "a, i = TopK<axis = 0>(d, one) s = Concat<axis = 0>(i, three) y = Expand(row, s)",
        "g = CumSum(n, zero) s = Concat<axis = 0>(g, three) y = Expand(row, s)",
    ],
    ids=["of a shape", "that TensorRT computes on the GPU", "of a sum"],
)
def test_other_sizes_are_left(nodes):
    model = model_of(TEXT.replace("NODES", nodes).replace("OUTPUT", "float[A, B]"))
    result = rewrite_model(model, [DetachSizes])
    assert result.applied == []
    assert result.model == model
