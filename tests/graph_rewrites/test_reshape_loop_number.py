"""The number of a Loop's run becomes the scalar that ONNX says, where a body declares a vector."""

import numpy as np
import onnx

from pluginkit.graph_rewrites.reshape_loop_number import ReshapeLoopNumber
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import outputs_of, run

X = np.arange(12, dtype=np.float32).reshape(4, 3)


def loop(number="int64[1]"):
    return onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (float[4, 3] x) => (float[4, 1, 3] y)
        <int64 four = {{4}}, bool true = {{1}}, int64[1] one = {{1}}, int64[1] ax = {{0}}>
        {{ y = Loop(four, true) <body = b ({number} k, bool go) =>
            (bool on, float[1, 3] r) {{ on = Identity(go)
            e = Add(k, one) s = Reshape(k, one) r = Slice(x, s, e, ax) }}> }}"""
    )


def test_a_vector_becomes_a_scalar():
    model = loop()
    feeds = {"x": X}
    (got,) = outputs_of(ReshapeLoopNumber, model, feeds)
    np.testing.assert_array_equal(got, run(model, feeds)[0])
    (node,) = rewrite_model(model, [ReshapeLoopNumber]).model.graph.node
    assert not node.attribute[0].g.input[0].type.tensor_type.shape.dim


def test_a_vector_that_nothing_reads_stays_unread():
    """As in Paddle's loops, which have no limit: TensorRT's parser has no number of such a one."""
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 16]>
        g (float[3] x) => (float[3] y) <bool go = {1}> {
        y = Loop(, go, x) <body = b (int64[1] k, bool c, float[3] s) => (bool d, float[3] e) {
            e = Add(s, s) m = ReduceMax<keepdims = 0>(e) h = Constant<value = float {99.0}>()
            d = Less(m, h) }> }""")
    feeds = {"x": np.array([1, 2, 3], np.float32)}
    (got,) = outputs_of(ReshapeLoopNumber, model, feeds)
    np.testing.assert_array_equal(got, run(model, feeds)[0])
    (node,) = rewrite_model(model, [ReshapeLoopNumber]).model.graph.node
    body = node.attribute[0].g
    assert not body.input[0].type.tensor_type.shape.dim
    assert all(each.op_type != "Reshape" for each in body.node)


def test_a_scalar_is_left():
    model = loop("int64")
    assert rewrite_model(model, [ReshapeLoopNumber]).applied == []
