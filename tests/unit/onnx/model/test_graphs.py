"""Values are followed through nodes that keep their numbers."""

import onnx
import pytest

from pluginkit.onnx.model.graphs import source_of

HEADER = '<ir_version: 10, opset_import: ["" : 21, "other" : 1]> g (int64[1] x) => (int64[1] y)'


@pytest.mark.parametrize(
    ("nodes", "number", "truth"),
    [
        ("a = Identity(x) b = Cast<to=1>(a) c = Squeeze(b) y = Cast<to=7>(c)", "x", "x"),
        ("a = Cast<to=9>(x) y = Cast<to=7>(a)", "a", "x"),
        ("a = Cast<to=3>(x) y = Identity(a)", "a", "a"),  # int8
        ("a = other.Identity(x) y = Identity(a)", "a", "a"),
        ("a = Neg(x) y = Identity(a)", "a", "a"),
    ],
)
def test_the_source_of_a_number_and_of_a_condition(nodes, number, truth):
    graph = onnx.parser.parse_model(f"{HEADER} {{ {nodes} }}").graph
    producers = {name: node for node in graph.node for name in node.output}
    assert source_of("y", producers.get) == number
    assert source_of("y", producers.get, is_condition=True) == truth
