"""What the page is told of a model, and what it is not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.view.graph_document import document_from_model
from pluginkit.view.model_text import text_of_type
from pluginkit.view.node_status import Verdict

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def tensor(name: str, shape: Any = ("n", 4), dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(nodes: list[onnx.NodeProto], **parts: Any) -> onnx.ModelProto:
    functions = parts.pop("functions", [])
    parts = {"inputs": [tensor("x")], "outputs": [tensor("y")], **parts}
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    graph = helper.make_graph(nodes, "graph", **parts)
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)


def draw(model: onnx.ModelProto, verdicts: Any = None) -> dict[str, Any]:
    return document_from_model(model, "model.onnx", verdicts or {})


def wired(scope: dict[str, Any]) -> set[tuple[str, str]]:
    """(what a value comes from, what reads it), lanes left out."""
    labels = [node["name"] for node in scope["nodes"]] + [name for _, name in scope["cells"]]
    found = set()
    for number in range(len(scope["values"])):
        above = {low: up for gap in scope["wires"] for up, low, value in gap if value == number}
        for lower in above:
            upper = above[lower]
            while upper >= len(labels):
                upper = above[upper]
            if lower < len(labels):
                found.add((labels[upper], labels[lower]))
    return found


def test_nodes_inputs_and_outputs_are_wired_with_their_types() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("Transpose", ["r"], ["y"], name="turn", perm=[0, 1]),
    ]
    scope = draw(model_of(nodes))["scopes"][0]
    assert wired(scope) == {("x", "relu"), ("relu", "turn"), ("turn", "y")}
    assert scope["types"] == dict.fromkeys("xry", "float32[n×4]")
    assert scope["nodes"][1]["attributes"] == [["perm", "ints", "[0, 1]"]]
    assert scope["cells"] == [["input", "x"], ["output", "y"]]


def test_a_weight_leaves_its_type_and_shape_alone() -> None:
    weight = numpy_helper.from_array(np.full((4, 9), 7.25, np.float32), "w")
    few = numpy_helper.from_array(np.array([3, 5], np.int64), "axes")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="product"),
        helper.make_node("Unsqueeze", ["m", "axes"], ["y"], name="wide"),
        helper.make_node("Constant", [], ["c"], name="stored", value=weight),
    ]
    document = draw(model_of(nodes, initializer=[weight, few]))
    scope = document["scopes"][0]
    assert scope["types"]["w"] == "float32[4×9]"
    assert scope["types"]["axes"] == "int64[2] = [3, 5]"
    assert scope["constants"] == ["axes", "w"]
    assert scope["nodes"][2]["attributes"] == [["value", "tensor", "float32[4×9]"]]
    assert "7.25" not in json.dumps(document)


def test_external_data_is_not_looked_for(tmp_path: Path) -> None:
    weight = TensorProto(name="w", data_type=FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=str(tmp_path / "is not there"))
    node = helper.make_node("Add", ["x", "w"], ["y"], name="sum")
    scope = draw(model_of([node], initializer=[weight]))["scopes"][0]
    assert scope["types"]["w"] == "float32[4] in an external file"


def test_bodies_and_functions_are_scopes_that_their_nodes_open() -> None:
    def branch(op: str) -> onnx.GraphProto:
        inner = helper.make_node(op, ["r"], [f"of_{op}"], name=op)
        return helper.make_graph([inner], op, [], [tensor(f"of_{op}")])

    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node(
            "If", ["c"], ["i"], name="if", then_branch=branch("Neg"), else_branch=branch("Abs")
        ),
        helper.make_node("F", ["i"], ["j"], name="f1", domain="local"),
        helper.make_node("F", ["j"], ["y"], name="f2", domain="local"),
    ]
    body = [helper.make_node("Exp", ["p"], ["q"], name="exp")]
    function = helper.make_function("local", "F", ["p"], ["q"], body, [helper.make_opsetid("", 18)])
    inputs = [tensor("x"), tensor("c", (), BOOL)]
    scopes = draw(model_of(nodes, inputs=inputs, functions=[function]))["scopes"]
    opened = {
        node["name"]: [(title, scopes[at]["nodes"][0]["op"]) for title, at in node["inside"]]
        for node in scopes[0]["nodes"]
    }
    assert opened == {
        "relu": [],
        "if": [("If.then_branch", "Neg"), ("If.else_branch", "Abs")],
        "f1": [("function local::F", "Exp")],
        "f2": [("function local::F", "Exp")],
    }
    assert ("relu", "if") in wired(scopes[0])  # which its branches capture
    (then,) = (scope for scope in scopes if scope["title"] == "Neg")
    assert then["cells"] == [["outer", "r"], ["output", "of_Neg"]]
    assert then["types"]["r"] == "float32[n×4]"


def test_nested_bodies_belong_to_their_own_nodes() -> None:
    def branch(name: str, node: onnx.NodeProto) -> onnx.GraphProto:
        return helper.make_graph([node], name, [], [tensor(node.output[0])])

    def choose(name: str, first: onnx.GraphProto, second: onnx.GraphProto) -> onnx.NodeProto:
        return helper.make_node(
            "If", ["c"], [f"out_{name}"], name=name, then_branch=first, else_branch=second
        )

    def leaf(name: str) -> onnx.GraphProto:
        return branch(name, helper.make_node("Relu", ["x"], [f"v_{name}"], name=name))

    inner = [choose(f"inner{at}", leaf(f"{at}a"), leaf(f"{at}b")) for at in range(2)]
    outer = choose("outer", branch("g0", inner[0]), branch("g1", inner[1]))
    last = helper.make_node("Relu", ["out_outer"], ["y"], name="last")
    inputs = [tensor("x"), tensor("c", (), BOOL)]
    scopes = draw(model_of([outer, last], inputs=inputs))["scopes"]

    def tree(number: int) -> Any:
        return {
            node["name"]: [tree(inside) for _, inside in node["inside"]]
            for node in scopes[number]["nodes"]
        }

    assert tree(0) == {
        "outer": [
            {"inner0": [{"0a": []}, {"0b": []}]},
            {"inner1": [{"1a": []}, {"1b": []}]},
        ],
        "last": [],
    }


def test_verdicts_reach_their_nodes_and_are_counted() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("Relu", ["r"], ["y"], name="relu"),  # alike in name, not in place
    ]
    document = draw(model_of(nodes), {("main graph", 1): Verdict("refused", "no kernel")})
    first, second = document["scopes"][0]["nodes"]
    assert (first["status"], first["reason"]) == ("unknown", "")
    assert (second["status"], second["reason"]) == ("refused", "no kernel")
    assert {status: count for status, count in document["counts"].items() if count} == {
        "refused": 1,
        "unknown": 1,
    }


def test_a_model_that_inference_refuses_is_drawn_with_what_it_says() -> None:
    # Of a domain that the model does not import: nothing can be inferred.
    model = model_of([helper.make_node("Relu", ["x"], ["y"], name="relu", domain="acme")])
    document = draw(model)
    assert document["scopes"][0]["types"] == {"x": "float32[n×4]", "y": "float32[n×4]"}
    assert "contradict" in dict(document["facts"])["shapes"]


def test_long_texts_are_cut_and_what_is_damaged_is_drawn() -> None:
    damaged = TensorProto(name="w", data_type=FLOAT, dims=[2], raw_data=b"123")
    node = helper.make_node("Add", ["x", "w"], ["y"], name="n" * 5000, note="t" * 5000)
    scope = draw(model_of([node], initializer=[damaged]))["scopes"][0]
    assert len(scope["nodes"][0]["name"]) == 300
    assert len(scope["nodes"][0]["attributes"][0][2]) == 300
    assert scope["types"]["w"] == "float32[2]"


@pytest.mark.parametrize(
    ("value_type", "text"),
    [
        (helper.make_tensor_type_proto(FLOAT, None), "float32[…]"),
        (helper.make_tensor_type_proto(BOOL, []), "bool[]"),
        (helper.make_tensor_type_proto(INT64, [None, "n", 0]), "int64[?×n×0]"),
        (helper.make_sparse_tensor_type_proto(FLOAT, [2]), "sparse float32[2]"),
        (
            helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, [1])),
            "sequence(float32[1])",
        ),
        (
            helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, [1])),
            "optional(float32[1])",
        ),
        (
            helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, [1])),
            "map(int64, float32[1])",
        ),
        (onnx.TypeProto(), "?"),
    ],
)
def test_types_are_written_for_people(value_type: onnx.TypeProto, text: str) -> None:
    assert text_of_type(value_type) == text
