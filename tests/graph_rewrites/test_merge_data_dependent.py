"""Equal nodes whose output sizes depend on data become one before plugins take their places."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.graph_rewrites.merge_data_dependent import MergeDataDependent
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

X = np.array([0, 3, 0, -1, 2, 3, 0, 5], np.float32)


def value(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(nodes, outputs, stored=None):
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", [8]), value("a", [8])],
        [value(name, [None], dtype) for name, dtype in outputs.items()],
        [numpy_helper.from_array(np.asarray(each), name) for name, each in (stored or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def gather(places, output, data="a"):
    """The elements of ``data`` at places that NonZero gives."""
    return [
        helper.make_node("Transpose", [places], [f"{output}t"]),
        helper.make_node("GatherND", [data, f"{output}t"], [output]),
    ]


def count(model, op_type):
    return [node.op_type for node in model.graph.node].count(op_type)


def check_same(model, tmp_path):
    feeds = {"x": X, "a": np.arange(8, dtype=np.float32)}
    result = rewrite_model(model, find_rewrites())
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    for name, expected in run_onnxruntime(model, feeds).items():
        np.testing.assert_array_equal(got[name], expected)
    assert rewrite_model(result.model, find_rewrites()).applied == []
    return result.model


def test_equal_nodes_become_one(tmp_path):
    nodes = [
        helper.make_node("NonZero", ["x"], ["z"]),
        *gather("z", "p"),
        helper.make_node("NonZero", ["x"], ["z2"]),
        *gather("z2", "q", "x"),
        helper.make_node("NonZero", ["a"], ["z3"]),
        *gather("z3", "r"),
    ]
    outputs = dict.fromkeys("pqr", TensorProto.FLOAT)
    model = check_same(model_of(nodes, outputs), tmp_path)
    assert count(model, "NonZero_PK") == 2
    assert count(model, "NonZero") == 0


def test_nodes_of_equal_inputs_are_equal(tmp_path):
    """Masks that are computed twice, from constants of each kind, and behind an Identity."""
    half = numpy_helper.from_array(np.float32(2))
    nodes = [
        helper.make_node("Greater", ["x", "two"], ["m"]),
        helper.make_node("NonZero", ["m"], ["z"]),
        *gather("z", "p"),
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Greater", ["same", "two_again"], ["m2"]),
        helper.make_node("NonZero", ["m2"], ["z2"]),
        *gather("z2", "q"),
        helper.make_node("Constant", [], ["c"], value=half),
        helper.make_node("Constant", [], ["d"], value=half),
        helper.make_node("Less", ["x", "c"], ["m3"]),
        helper.make_node("NonZero", ["m3"], ["z3"]),
        *gather("z3", "r"),
        helper.make_node("Less", ["x", "d"], ["m4"]),
        helper.make_node("NonZero", ["m4"], ["z4"]),
        *gather("z4", "s"),
    ]
    stored = {"two": np.float32(2), "two_again": np.float32(2)}
    model = check_same(model_of(nodes, dict.fromkeys("pqrs", TensorProto.FLOAT), stored), tmp_path)
    assert count(model, "NonZero_PK") == 2


@pytest.mark.parametrize("how", ["attribute", "input"])
def test_what_differs_stays(how, tmp_path):
    first = helper.make_node("Unique", ["x"], ["p"], sorted=1)
    second = {
        "attribute": helper.make_node("Unique", ["x"], ["q"], sorted=0),
        "input": helper.make_node("Unique", ["a"], ["q"], sorted=1),
    }[how]
    model = check_same(model_of([first, second], dict.fromkeys("pq", TensorProto.FLOAT)), tmp_path)
    assert count(model, "Unique_PK") == 2


def test_plugins_that_list_all_outputs_are_equal_though_the_nodes_did_not(tmp_path):
    nodes = [
        helper.make_node("Unique", ["x"], ["p"]),
        helper.make_node("Unique", ["x"], ["q", "at"]),
    ]
    outputs = {"p": TensorProto.FLOAT, "q": TensorProto.FLOAT, "at": TensorProto.INT64}
    assert count(check_same(model_of(nodes, outputs), tmp_path), "Unique_PK") == 1


def test_outputs_of_the_graph_keep_their_names(tmp_path):
    nodes = [helper.make_node("Unique", ["x"], [name]) for name in "pqr"]
    model = check_same(model_of(nodes, dict.fromkeys("pqr", TensorProto.FLOAT)), tmp_path)
    assert (count(model, "Unique_PK"), count(model, "Identity")) == (1, 2)


def test_compress_of_one_mask_is_one(tmp_path):
    """Each Compress becomes a NonZero of its condition."""
    nodes = [
        helper.make_node("Greater", ["x", "two"], ["m"]),
        helper.make_node("Compress", ["x", "m"], ["p"], axis=0),
        helper.make_node("Compress", ["x", "m"], ["q"], axis=0),
    ]
    model = model_of(nodes, dict.fromkeys("pq", TensorProto.FLOAT), {"two": np.float32(2)})
    result = rewrite_model(model, [MergeDataDependent]).model
    assert count(result, "Compress") == 1


def test_a_node_in_a_branch_reads_the_equal_one_outside(tmp_path):
    then = helper.make_graph(
        [helper.make_node("Unique", ["x"], ["u"])], "t", [], [value("u", [None])]
    )
    other = helper.make_graph([helper.make_node("Relu", ["x"], ["e"])], "e", [], [value("e", [8])])
    nodes = [
        helper.make_node("Unique", ["x"], ["p"]),
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["c"], to=TensorProto.BOOL),
        helper.make_node("If", ["c"], ["q"], then_branch=then, else_branch=other),
    ]
    model = model_of(nodes, dict.fromkeys("pq", TensorProto.FLOAT))
    result = check_same(model, tmp_path)
    (branch,) = [a.g for a in result.graph.node[-1].attribute if a.name == "then_branch"]
    assert [node.op_type for node in branch.node] == ["Identity"]


def test_random_values_are_equal_to_none():
    nodes = [
        helper.make_node("RandomUniform", [], ["m"], shape=[8]),
        helper.make_node("RandomUniform", [], ["n"], shape=[8]),
        helper.make_node("Unique", ["m"], ["p"]),
        helper.make_node("Unique", ["n"], ["q"]),
    ]
    model = model_of(nodes, dict.fromkeys("pq", TensorProto.FLOAT))
    result = rewrite_model(model, [MergeDataDependent])
    assert result.applied == []
    onnx.checker.check_model(result.model)
