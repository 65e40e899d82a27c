"""New nodes: their names, constants and types, and what a rewrite must not return."""

import numpy as np
import onnx_graphsurgeon as gs
import pytest
from onnx import helper, numpy_helper

from pluginkit.errors import RewriteError
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.onnx.rewriting.rewrite import Op, Rewrite
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.unit.onnx.models import (
    Affine,
    model_of,
    value,
)
from tests.unit.onnx.rewriting.rewritten_models import (
    Widen,
    assert_same_outputs,
    broken_rewrite,
    declared_type,
    op_types,
)


def test_several_outputs_optional_inputs_and_unused_outputs(tmp_path):
    class FuseAffine(Rewrite):
        """x * 2 + bias -> Affine_PK(x, -, bias)."""

        plugin = Affine
        pattern = Op("Add", Op("Mul", "x", "two"), "bias")

        def check(self, match):
            return None if match.constant(match["two"]) == 2 else "not twice"

        def rewrite(self, match):
            return match.plugin_node(Affine(a=2.0), [match["x"], None, match["bias"]])

    two = numpy_helper.from_array(np.array(2, np.float32), "two")
    three = numpy_helper.from_array(np.array(3, np.float32), "three")
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["m"]),
        helper.make_node("Add", ["m", "bias"], ["a"], name="twice"),
        helper.make_node("Mul", ["a", "three"], ["k"]),
        helper.make_node("Add", ["k", "bias"], ["y"], name="thrice"),
    ]
    inputs = [value("x", ["n", 4]), value("bias", [4])]
    model = model_of(nodes, inputs, [value("y", ["n", 4])], [two, three])
    result = rewrite_model(model, [FuseAffine])
    ((_, node, plugin),) = plugin_nodes(result.model, result.plugins)
    assert list(node.input) == ["x", "bias"]
    assert list(node.output) == ["a", "twice/z"]
    assert plugin.present == (True, False, True)
    assert declared_type(result.model, "twice/z") == (1, [0])
    assert [each.reason for each in result.refused] == ["not twice"]
    feeds = {"x": np.ones((2, 4), np.float32), "bias": np.arange(4, dtype=np.float32)}
    assert_same_outputs(model, result, feeds, tmp_path)


def test_names_are_the_same_each_time():
    nodes = [helper.make_node("Elu", [f"v{i}"], [f"v{i + 1}"]) for i in range(3)]
    model = model_of(nodes, [value("v0", ["n"])], [value("v3", ["n"])])
    once, again = (rewrite_model(model, [Widen]).model for _ in range(2))
    assert once.SerializeToString(deterministic=True) == again.SerializeToString(deterministic=True)


def test_new_nodes_constants_and_names_are_unique_and_typed(tmp_path):
    nodes = [helper.make_node("Elu", [f"v{i}"], [f"v{i + 1}"]) for i in range(2)]
    model = model_of(nodes, [value("v0", ["n"])], [value("v2", ["n"])])
    result = rewrite_model(model, [Widen])
    assert op_types(result.model) == ["Mul", "Silu_PK", "Relu"] * 2
    made = [name for node in result.model.graph.node for name in node.output]
    assert len(set(made)) == 6
    assert len({node.name for node in result.model.graph.node}) == 6
    assert [each.name for each in result.model.graph.initializer] == ["v1/k", "v2/k"]
    assert declared_type(result.model, "v1/y") == (1, ["n"])
    got = run_model(result.model, {"v0": np.float32([1])}, result.plugins, base_dir=tmp_path)
    once = 3 / (1 + np.exp(-3.0))
    assert got["v2"][0] == pytest.approx(3 * once / (1 + np.exp(-3 * once)), rel=1e-5)


def test_constants_of_a_function_become_initializers(tmp_path):
    function = helper.make_function(
        "local", "F", ["p"], ["q"], [helper.make_node("Elu", ["p"], ["q"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    call = helper.make_node("F", ["x"], ["out"], domain="local")
    model = model_of([call], [value("x", [1])], [value("out", [1])], functions=[function])
    result = rewrite_model(model, [Widen])
    assert [node.op_type for node in result.model.graph.node] == ["Mul", "Silu_PK", "Relu"]
    assert list(result.model.functions) == []
    got = run_model(result.model, {"x": np.float32([1])}, result.plugins, base_dir=tmp_path)
    assert got["out"][0] == pytest.approx(3 / (1 + np.exp(-3.0)), rel=1e-5)


@pytest.mark.parametrize(
    ("rewrite", "message"),
    [
        (lambda self, match: None, "returned None"),
        (lambda self, match: [], "returned []"),
        (lambda self, match: 1 / 0, "ZeroDivisionError"),
        (
            lambda self, match: gs.Node(
                "Relu", inputs=[gs.Variable("ghost")], outputs=match.outputs
            ),
            "reads 'ghost'",
        ),
        (
            lambda self, match: gs.Node("Relu", inputs=match.inputs, outputs=[gs.Variable("b")]),
            "do not produce 'y'",
        ),
        (
            lambda self, match: gs.Node("Relu", inputs=match.outputs, outputs=match.outputs),
            "reads 'y'",
        ),
    ],
)
def test_what_a_rewrite_must_not_return(rewrite, message):
    nodes = [helper.make_node("Relu", ["x"], ["y"], name="guilty")]
    model = model_of(nodes, [value("x", [4])], [value("y", [4])])
    with pytest.raises(RewriteError) as caught:
        rewrite_model(model, [broken_rewrite(rewrite)])
    assert caught.value.code == "PK421"
    assert message in caught.value.message
    assert "Relu 'guilty'" in caught.value.where


def test_a_check_must_return_a_reason():
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", [4])], [value("y", [4])])
    with pytest.raises(RewriteError) as caught:
        rewrite_model(model, [broken_rewrite(lambda self, match: None, lambda self, match: True)])
    assert caught.value.code == "PK421"
    assert "check returned True" in caught.value.message
