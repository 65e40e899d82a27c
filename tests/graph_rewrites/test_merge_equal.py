"""Equal nodes become one, but for those that are fused with their readers, and random ones."""

import numpy as np
import onnx

from pluginkit.graph_rewrites.merge_equal import MergeEqual
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run
from tests.graph_rewrites.test_fold_known import model_of, op_types

X = np.random.default_rng(0).random((4, 4), np.float32)


def merged(model):
    """Apply the rewrite twice; the second time must change nothing."""
    result = rewrite_model(model, [MergeEqual])
    assert {each.rewrite for each in result.applied} == {"MergeEqual"}
    onnx.checker.check_model(result.model, full_check=True)
    assert rewrite_model(result.model, [MergeEqual]).applied == []
    for before, after in zip(run(model, {"x": X}), run(result.model, {"x": X}), strict=True):
        np.testing.assert_array_equal(after, before)
    return result.model


def test_shapes_that_are_computed_twice():
    text = " ".join(
        f"s{at} = Shape(x) n{at} = Gather(s{at}, one) m{at} = Mul(n{at}, n{at}) "
        f"k{at} = Unsqueeze(m{at}, zero) r{at} = Reshape(x, k{at})"
        for at in range(2)
    )
    model = model_of(
        f""" g (float[N, N] x) => (float[K] y)
        <int64 one = {{1}}, int64[1] zero = {{0}}> {{ {text} y = Add(r0, r1) }}"""
    )
    found = op_types(merged(model))
    assert found == ["Shape", "Gather", "Mul", "Unsqueeze", "Reshape", "Reshape", "Add"]


def test_products_become_one_and_outputs_keep_their_names():
    model = model_of(
        """ g (float[4, 4] x) => (float[4, 4] y, float[4, 4] z)
        { y = MatMul(x, x) z = MatMul(x, x) }"""
    )
    result = merged(model)
    assert op_types(result) == ["MatMul", "Identity"]


def test_nodes_in_branches_and_readers_there():
    model = model_of(
        """ g (float[4, 4] x) => (float[4, 4] y)
        {
            p = MatMul(x, x)
            q = MatMul(x, x)
            m = ReduceMax<keepdims=0>(x)
            c = Cast<to=9>(m)
            y = If (c) <
                then_branch = t () => (float[4, 4] u)
                    { w = MatMul(x, x) a = Add(w, q) u = Add(a, p) },
                else_branch = e () => (float[4, 4] v) { v = Neg(q) }
            >
        }"""
    )
    assert op_types(merged(model)).count("MatMul") == 1


def test_elementwise_floats_and_random_values_are_left():
    model = model_of(
        """ g (float[4, 4] x) => (float[4, 4] y)
        { a = Sigmoid(x) b = Sigmoid(x) c = Mul(a, b) r = RandomNormalLike(x)
          s = RandomNormalLike(x) d = Sub(r, s) e = Add(c, d) y = Mul(e, e) }"""
    )
    result = rewrite_model(model, [MergeEqual])
    assert result.applied == []
    assert result.model == model
