"""Nodes of foreign operators that nothing needs are dropped; TensorRT would refuse them."""

import onnx
import onnx.parser

from pluginkit.graph_rewrites.drop_unread import DropUnread
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model

HEAD = '<ir_version: 8, opset_import: ["": 18, "acme": 1]> g (float[2] x, bool c) => (float[2] y)'


def op_types(text):
    model = onnx.parser.parse_model(f"{HEAD} {{ {text} }}")
    result = rewrite_model(model, [DropUnread])
    assert rewrite_model(result.model, [DropUnread]).applied == []
    return [node.op_type for node in result.model.graph.node], result


def test_what_reads_them_goes_too():
    found, result = op_types("k = Neg(x) d = acme.Op(k) e = Abs(d) y = Relu(x) f = Add(d, e)")
    assert found == ["Relu"]
    assert [each.node for each in result.applied] == ["k", "d", "e", "f"]


def test_nodes_that_an_output_or_a_branch_needs_stay():
    text = "d = acme.Op(x) e = acme.Op(d) y = If(c) <then_branch = t () => (float[2] a) "
    text += "{ a = Neg(e) }, else_branch = o () => (float[2] b) { b = Neg(x) u = acme.Op(b) }>"
    found, result = op_types(text)
    assert found == ["Op", "Op", "If"]
    assert [each.node for each in result.applied] == ["u"]


def test_unread_nodes_of_onnx_alone_are_left():
    assert op_types("d = Neg(x) y = acme.Op(x)")[0] == ["Neg", "Op"]
