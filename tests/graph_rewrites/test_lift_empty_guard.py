import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.lift_empty_guard import LiftEmptyGuard
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
value = helper.make_tensor_value_info

CONDITIONS = ("product", "size", "dimension", "not")


def condition_nodes(kind):
    size = {
        "size": [helper.make_node("Size", ["boxes"], ["n"])],
        "not": [helper.make_node("Size", ["boxes"], ["n"])],
        "dimension": [
            helper.make_node("Shape", ["boxes"], ["s"]),
            helper.make_node("Gather", ["s", "zero"], ["n"]),
        ],
        "product": [
            helper.make_node("Shape", ["boxes"], ["s"]),
            helper.make_node("ReduceProd", ["s"], ["n"], keepdims=0),
        ],
    }[kind]
    if kind == "not":
        return [*size, helper.make_node("Greater", ["n", "zero"], ["c"])]
    return [
        *size,
        helper.make_node("Equal", ["n", "zero"], ["e"]),
        helper.make_node("Cast", ["e"], ["c"], to=TensorProto.BOOL),
    ]


def model_of(kind="product", keep="suppress", empty_size=0, other=None):
    """A suppression in an If, as torchvision exports it."""
    suppress = [
        helper.make_node("ReduceMax", ["boxes"], ["far"], keepdims=0),
        helper.make_node("Mul", ["labels", "far"], ["offsets"]),
        helper.make_node("Unsqueeze", ["offsets", "one"], ["column"]),
        helper.make_node("Add", ["boxes", "column"], ["apart"]),
        helper.make_node("Unsqueeze", ["apart", "axis"], ["b"]),
        helper.make_node("Unsqueeze", ["scores", "axes"], ["sc"]),
        helper.make_node("NonMaxSuppression", ["b", "sc", "most", "iou"], ["found"], name="nms"),
        helper.make_node("Gather", ["found", "two"], ["keep"], axis=1),
    ]
    nodes = {
        "suppress": suppress,
        "pad": [helper.make_node("Concat", ["two", "axes"], ["keep"], axis=0)],
    }[keep]
    stored = [
        numpy_helper.from_array(np.array(array), name)
        for name, array in {
            "axis": [0],
            "axes": [0, 1],
            "two": np.int64(2) if keep == "suppress" else np.array([2]),
            "one": [1],
            "most": [20],
            "iou": np.float32([0.5]),
        }.items()
    ]
    empty = numpy_helper.from_array(np.zeros(empty_size, np.int64))
    of_empty = helper.make_graph(
        [helper.make_node("Constant", [], ["none"], value=empty)],
        "of_empty",
        [],
        [value("none", INT64, [empty_size])],
    )
    of_others = helper.make_graph(nodes, "of_others", [], [value("keep", INT64, [None])], stored)
    branches = (of_others, of_empty) if kind == "not" else (of_empty, of_others)
    graph = helper.make_graph(
        [
            *condition_nodes(kind),
            helper.make_node(
                "If", ["c"], ["kept"], "guard", then_branch=branches[0], else_branch=branches[1]
            ),
            helper.make_node("Gather", ["boxes", "kept"], ["y"], axis=0),
        ],
        "g",
        [
            value("boxes", FLOAT, ["n", 4]),
            value("scores", FLOAT, ["n"]),
            value("labels", FLOAT, ["n"]),
        ],
        [value("y", FLOAT, [None, 4])],
        [numpy_helper.from_array(np.array(0), "zero")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def feeds(count):
    rng = np.random.default_rng(3)
    low = rng.uniform(0, 5, (count, 2))
    return {
        "boxes": np.concatenate([low, low + 2], axis=1).astype(np.float32),
        "scores": rng.random(count, np.float32),
        "labels": rng.integers(0, 3, count).astype(np.float32),
    }


def rewrite(model):
    return rewrite_model(model, [LiftEmptyGuard])


@pytest.mark.parametrize("kind", CONDITIONS)
def test_a_guard_is_removed_and_the_values_are_the_same(kind, tmp_path):
    model = model_of(kind)
    onnx.checker.check_model(model, full_check=True)
    result = rewrite(model)
    (applied,) = result.applied
    assert applied.rewrite == "LiftEmptyGuard"
    assert "NonMaxSuppression" in [node.op_type for node in result.model.graph.node]
    assert "If" not in [node.op_type for node in result.model.graph.node]
    onnx.checker.check_model(result.model, full_check=True)
    for count in (30, 1):
        given = feeds(count)
        expected = run_onnxruntime(model, given)["y"]
        got = run_model(result.model, given, result.plugins, base_dir=tmp_path)["y"]
        np.testing.assert_array_equal(got, expected)
    assert rewrite(result.model).applied == []


@pytest.mark.parametrize(
    "model",
    [
        model_of(empty_size=1),  # the branch of an empty value gives a box
        model_of(keep="pad"),  # the other branch gives boxes though the value is empty
    ],
    ids=["a box for none", "boxes for none"],
)
def test_a_branch_that_differs_for_an_empty_value_stays(model):
    result = rewrite(model)
    assert result.applied == []
    assert result.model == model


def test_a_condition_on_something_else_stays():
    model = model_of("size")
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array(3), "zero"))
    assert rewrite(model).applied == []


@pytest.mark.trt
def test_a_suppression_in_an_if_builds(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={"boxes": "0x4,30x4,500x4", "scores": "0,30,500", "labels": "0,30,500"},
        rewrites=find_rewrites(),
    )
    assert [record.name for record in built.manifest.plugins] == ["NonMaxSuppression_PK"]
