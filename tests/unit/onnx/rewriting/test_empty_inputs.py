"""Optional inputs without a value are left out where they come last."""

import onnx
import pytest

from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model

NODES = {
    'Conv (x, x, "")': ["x", "x"],
    'Clip (x, "", "")': ["x"],
    'Clip (x, "", l)': ["x", "", "l"],
    'Resize <mode = "nearest"> (x, "", "", l)': ["x", "", "", "l"],
    'Unknown (x, "")': ["x", ""],
}


@pytest.mark.parametrize("text", NODES)
def test_only_empty_inputs_of_known_operators_at_the_end_are_left_out(text):
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]>'
        f" g (float[1, 1, 4, 4] x, float l) => (float[N, M, H, W] y) {{ y = {text} }}"
    )
    (node,) = rewrite_model(model, []).model.graph.node
    assert list(node.input) == NODES[text]


def test_a_loop_keeps_the_condition_that_it_does_not_have():
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]> g (int64 n) => (int64[N] y) {
            y = Loop (n, "") <body = b (int64 k, bool go) => (bool on, int64 z) {
                on = Identity (go) z = Identity (k)
            }>
        }
    """)
    (node,) = rewrite_model(model, []).model.graph.node
    assert list(node.input) == ["n", ""]


@pytest.mark.parametrize("call", ['y = local.F (x, "")', "y = local.F (x)"])
def test_a_function_that_is_called_without_an_optional_input_is_inlined(call):
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 21, "local" : 1]>
        g (float[4] x) => (float[4] y) {{ {call} }}
        <domain: "local", opset_import: ["" : 21]> F (a, low) => (b) {{ b = Clip (a, low) }}
    """)
    (node,) = rewrite_model(model, find_rewrites()).model.graph.node
    assert (node.op_type, list(node.input)) == ("Clip", ["x"])
