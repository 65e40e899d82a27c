"""Which nodes of two models differ, and which belong together."""

from typing import Any

import onnx
from onnx import TensorProto, helper

from pluginkit.view.graph_document import document_from_model
from pluginkit.view.model_diff import mark_differences


def document(*nodes: onnx.NodeProto) -> dict[str, Any]:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    graph = helper.make_graph(list(nodes), "graph", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return document_from_model(model, "model.onnx", {})


def marks(of: dict[str, Any]) -> list[tuple[str, bool, Any]]:
    return [(node["name"], node["differs"], node["twin"]) for node in of["scopes"][0]["nodes"]]


def node(op: str, reads: str, gives: str, name: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, [reads], [gives], name=name, **attributes)


def test_a_replaced_node_differs_and_its_twin_gives_the_same_output() -> None:
    before = document(node("Neg", "x", "a", "neg"), node("Softsign", "a", "y", "soft"))
    after = document(
        node("Neg", "x", "a", "neg"),
        node("Abs", "a", "b", "new"),
        node("Softsign_PK", "b", "y", "soft", domain="pluginkit"),
    )
    mark_differences(before, after)
    assert marks(before) == [("neg", False, [0, 0]), ("soft", True, [0, 2])]
    assert marks(after) == [("neg", False, [0, 0]), ("new", True, None), ("soft", True, [0, 1])]


def test_a_changed_attribute_is_a_difference_and_a_name_is_none() -> None:
    before = document(node("Elu", "x", "a", "one", alpha=1.0), node("Neg", "a", "y", "two"))
    after = document(node("Elu", "x", "a", "one", alpha=2.0), node("Neg", "a", "y", "named"))
    mark_differences(before, after)
    assert [differs for _, differs, _ in marks(before)] == [True, False]


def test_the_order_of_nodes_is_no_difference() -> None:
    first, second = node("Neg", "x", "a", "one"), node("Abs", "x", "y", "two")
    before, after = document(first, second), document(second, first)
    mark_differences(before, after)
    assert marks(before) == [("one", False, [0, 1]), ("two", False, [0, 0])]


def choices(*ops: str) -> dict[str, Any]:
    """A document of a row of Ifs of one name, each with one of the operators in its branches."""
    tensors = [
        helper.make_tensor_value_info(name, dtype, [])
        for name, dtype in (("c", TensorProto.BOOL), ("x", TensorProto.FLOAT))
    ]
    given = helper.make_tensor_value_info("given", TensorProto.FLOAT, None)
    nodes = []
    for at, op in enumerate(ops):
        body = helper.make_graph([node(op, "x", "given", "same")], "body", [], [given])
        branches = {"then_branch": body, "else_branch": body}
        nodes.append(helper.make_node("If", ["c"], [f"y{at}"], name="same", **branches))
    outputs = [
        helper.make_tensor_value_info(f"y{at}", TensorProto.FLOAT, []) for at in range(len(ops))
    ]
    graph = helper.make_graph(nodes, "graph", tensors, outputs)
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return document_from_model(model, "model.onnx", {})


def test_bodies_of_nodes_of_one_name_are_told_apart() -> None:
    before, after = choices("Neg", "Abs"), choices("Neg", "Relu")
    mark_differences(before, after)
    for document in (before, after):
        found = [
            (scope["path"], node["differs"], node["twin"])
            for scope in document["scopes"][1:]
            for node in scope["nodes"]
        ]
        assert found == [
            ("main graph / If 'same'.else_branch", False, [1, 0]),
            ("main graph / If 'same'.then_branch", False, [2, 0]),
            ("main graph / If 'same' (2).else_branch", True, [3, 0]),
            ("main graph / If 'same' (2).then_branch", True, [4, 0]),
        ]
