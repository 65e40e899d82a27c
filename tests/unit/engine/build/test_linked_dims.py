"""Dimensions of a model's inputs that plugins link or fix."""

import onnx
import pytest

from pluginkit import Input, Output, Plugin, float32
from pluginkit.engine.build.linked_dims import link_inputs
from pluginkit.engine.build.profiles import resolve_profiles
from pluginkit.onnx.inference.network_inputs import NetworkInput


class Weighted(Plugin):
    """Boxes with weights."""

    boxes = Input(float32, shape=("N", 4))
    weights = Input(float32, shape=("N",))
    y = Output(float32, like="boxes")

    def launches(self, boxes, weights, y):
        return []

    def reference(self, boxes, weights):
        return boxes


PLUGINS = {Weighted.spec.key: Weighted}
NODE = 'y = pluginkit.Weighted_PK<plugin_version="1", plugin_namespace="pluginkit">'


def inputs_of(model: onnx.ModelProto) -> list[NetworkInput]:
    return [
        NetworkInput(
            one.name, tuple(d.dim_value or d.dim_param for d in one.type.tensor_type.shape.dim)
        )
        for one in model.graph.input
    ]


def ranges(signature: str, nodes: str, **shapes: str) -> dict[str, list[tuple[int, ...]]]:
    text = f"({signature}) => (float[?, ?] y) {{ {nodes} }}"
    header = '<ir_version: 10, opset_import: ["": 18, "pluginkit": 1]> g '
    model = onnx.parser.parse_model(header + text)
    linked = link_inputs(model, PLUGINS, inputs_of(model))
    (profile,) = resolve_profiles(linked.inputs, shapes, linked.fixed)
    return {name: [*extent] for name, extent in profile.ranges.items()}


@pytest.mark.parametrize("dims", [("?", "?"), ("a", "b"), ("a", "?"), ("?", "b"), ("n", "n")])
def test_equal_dimensions_share_a_given_range_and_numbers_are_fixed(dims):
    signature = f"float[{dims[0]}, ?] p, float[{dims[1]}] q"
    expected = {"p": [(1, 4), (5, 4), (9, 4)], "q": [(1,), (5,), (9,)]}
    assert ranges(signature, f"{NODE} (p, q)", q="1,5,9") == expected
    assert ranges(signature, f"{NODE} (p, q)", p="1x4,5x4,9x4") == expected


def test_dimensions_are_followed_through_casts():
    nodes = f"i = Identity(p) c = Cast<to=1>(i) {NODE} (c, q)"
    found = ranges("float16[?, k] p, float[?] q", nodes, q="2,3,4")
    assert found == {"p": [(2, 4), (3, 4), (4, 4)], "q": [(2,), (3,), (4,)]}


def test_a_name_that_is_fixed_once_is_fixed_everywhere():
    found = ranges("float[?, k] p, float[?] q, float[k] r", f"{NODE} (p, q)")
    assert found["r"] == [(4,), (4,), (4,)]


def test_a_range_of_the_user_goes_before_what_a_plugin_fixes():
    found = ranges("float[?, ?] p, float[?] q", f"{NODE} (p, q)", p="1x5,2x5,3x5")
    assert found["p"] == [(1, 5), (2, 5), (3, 5)]


def test_other_dimensions_stay_as_they_are():
    found = ranges("float[batch, 4] p, float[?] q, float[?] r", f"{NODE} (p, q)", r="7")
    assert found == {"p": [(1, 4), (4, 4), (16, 4)], "q": [(1,), (4,), (16,)], "r": [(7,)] * 3}
