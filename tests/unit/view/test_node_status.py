"""Verdicts from plugins and rewrites."""

from typing import Any

import onnx
from onnx import TensorProto, helper

from pluginkit import Input, Output, Plugin, float32
from pluginkit.onnx.rewriting.rewrite import Rewrite
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.view.node_status import (
    Verdict,
    combine_verdicts,
    verdicts_from_plugins,
    verdicts_from_rewrites,
)

MAIN = "main graph"


class Soft(Plugin):
    """y = x / (1 + |x|)."""

    plugin_name = "SoftOfTheView_PK"
    x = Input(float32)
    y = Output(float32)

    def output_shapes(self, x: Any) -> Any:
        return x.shape

    def launches(self, x: Any, y: Any) -> Any:
        return ()

    def reference(self, x: Any) -> Any:
        return x / (1 + abs(x))


class ReplaceSoftsign(Rewrite):
    """Softsign(x) -> Soft(x)"""

    plugin = Soft
    pattern = "Softsign"

    def check(self, match: Any) -> str | None:
        return "it must stay" if match.node.name == "stays" else None

    def rewrite(self, match: Any) -> Any:
        return match.plugin_node(Soft(), match.inputs)


def model() -> onnx.ModelProto:
    def branch(name: str) -> onnx.GraphProto:
        node = helper.make_node("Softsign", ["r"], [name], name=f"in_{name}")
        return helper.make_graph([node], name, [], [tensor(name)])

    def tensor(name: str, shape: tuple[str, ...] = ("n",), dtype: int = TensorProto.FLOAT) -> Any:
        return helper.make_tensor_value_info(name, dtype, shape)

    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("Softsign", ["r"], ["s"], name="stays"),
        helper.make_node(
            "If", ["c"], ["i"], name="if", then_branch=branch("a"), else_branch=branch("b")
        ),
        helper.make_node("Add", ["s", "i"], ["y"], name="sum"),
    ]
    inputs = [tensor("x"), tensor("c", (), TensorProto.BOOL)]
    graph = helper.make_graph(nodes, "graph", inputs, [tensor("y")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_of_several_verdicts_the_better_informed_counts_and_all_reasons_stay() -> None:
    refused, place = Verdict("refused", "no way"), (MAIN, 0)
    native = Verdict("native")
    left, replaced = Verdict("unknown", "it must stay"), Verdict("rewritten", "by a rewrite")
    assert combine_verdicts({place: refused, (MAIN, 1): native}, {place: replaced}) == {
        place: Verdict("rewritten", "no way\nby a rewrite"),
        (MAIN, 1): native,
    }
    assert combine_verdicts({place: refused}, {place: left}) == {
        place: Verdict("refused", "no way\nit must stay")
    }
    assert combine_verdicts({place: refused}, {}, {place: Verdict("plugin", "P")}) == {
        place: Verdict("plugin", "no way\nP")
    }


def test_rewritten_nodes_are_known_in_bodies_and_what_is_left_says_why() -> None:
    original = model()
    result = rewrite_model(original, [ReplaceSoftsign], plugins={})
    replaced = Verdict("rewritten", "ReplaceSoftsign puts SoftOfTheView_PK in its place.")
    assert verdicts_from_rewrites(original, result) == {
        ("main graph", 1): Verdict("unknown", "ReplaceSoftsign leaves it: it must stay"),
        ("main graph / If 'if'.then_branch", 0): replaced,
        ("main graph / If 'if'.else_branch", 0): replaced,
    }
    assert verdicts_from_plugins(original, result.plugins) == {}
    runs = Verdict("plugin", "The plugin Soft runs it.")
    assert verdicts_from_plugins(result.model, result.plugins) == {
        ("main graph / If 'if'.then_branch", 0): runs,
        ("main graph / If 'if'.else_branch", 0): runs,
    }


def test_nodes_of_one_name_are_told_apart() -> None:
    original = model()
    for node in original.graph.node:
        node.name = "same"
    first, second = onnx.ModelProto(), original.graph.node[2]
    first.CopyFrom(original)
    choice = first.graph.node.add()
    choice.CopyFrom(second)
    choice.output[0] = "j"
    first.graph.node.add(op_type="Softsign", name="same", input=["j"], output=["z"])
    for attribute in choice.attribute:
        attribute.g.node[0].op_type = "Abs"
    result = rewrite_model(first, [ReplaceSoftsign], plugins={})
    replaced = Verdict("rewritten", "ReplaceSoftsign puts SoftOfTheView_PK in its place.")
    assert verdicts_from_rewrites(first, result) == {
        ("main graph", 1): replaced,
        ("main graph", 5): replaced,
        ("main graph / If 'same'.then_branch", 0): replaced,
        ("main graph / If 'same'.else_branch", 0): replaced,
    }
