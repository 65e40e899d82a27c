"""Local functions that hold nodes to rewrite are inlined, because only a call gives them types."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.errors import ModelError
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.needed_inlining import inline_needed
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("loc", 1)]
X = np.array([[1, -2], [3, 4]], np.float32)
INDICES = np.array([[1, 0], [1, 1]])


def value(name, shape=(2, 2), dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def scatter(output="z", **attributes):
    return helper.make_node("ScatterElements", ["a", "i", "a"], [output], **attributes)


def function(name, nodes, *, attributes=(), overload="", outputs=("z",)):
    return helper.make_function(
        "loc", name, ["a", "i"], list(outputs), nodes, OPSETS, attributes=list(attributes),
        overload=overload,
    )  # fmt: skip


def call(name, output="y", *, overload="", inputs=("x", "i"), **attributes):
    node = helper.make_node(name, list(inputs), [output], domain="loc", **attributes)
    node.overload = overload
    return node


def model_of(nodes, functions, inputs=("x",), outputs=("y",)):
    graph = helper.make_graph(
        nodes,
        "g",
        [*map(value, inputs), value("i", dtype=TensorProto.INT64)],
        [*map(value, outputs)],
    )
    return helper.make_model(graph, opset_imports=OPSETS, functions=functions, ir_version=10)


def branches(node):
    """An If with the node in one branch, which gives ``t``, and a Relu in the other."""
    then = helper.make_graph([node], "t", [], [value("t")])
    other = helper.make_graph([helper.make_node("Relu", ["x"], ["e"])], "e", [], [value("e")])
    cond = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True)))
    return [cond, helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)]


def referring(**references):
    """A ScatterElements whose attributes are parameters of the function."""
    node = scatter()
    for name, (parameter, kind) in references.items():
        node.attribute.add(name=name, ref_attr_name=parameter, type=kind)
    return node


RELU = helper.make_node("Relu", ["q"], ["z"])
ADD_AT = function("AddAt", [scatter(reduction="add")])
OUTER = function("Outer", [call("AddAt", "q", inputs=("a", "i")), RELU])
AXIS = function("AtAxis", [referring(axis=("axis", 2))], attributes=["axis"])
AXIS.node[0].attribute.add(name="reduction", s=b"add", type=3)
REDUCTION = function("Red", [referring(reduction=("red", 3))], attributes=["red"])
MODELS = {
    "called": model_of([call("AddAt")], [ADD_AT]),
    "called twice": model_of(
        [call("AddAt", "t"), call("AddAt", inputs=("t", "i"))], [ADD_AT]
    ),
    "in a branch": model_of(branches(call("AddAt", "t")), [ADD_AT]),
    "called by another": model_of([call("Outer")], [OUTER, ADD_AT]),
    "called by another, which comes last": model_of([call("Outer")], [ADD_AT, OUTER]),
    "called by another in a branch": model_of(branches(call("Outer", "t")), [OUTER, ADD_AT]),
    "an int parameter": model_of([call("AtAxis", axis=1)], [AXIS]),
    "a text parameter": model_of([call("Red", red="mul")], [REDUCTION]),
    "a text parameter in a branch": model_of(branches(call("Red", "t", red="max")), [REDUCTION]),
    "overloads": model_of(
        [call("Over", "p", overload="one"), call("Over", inputs=("p", "i"), overload="two")],
        [
            function("Over", [scatter(reduction="add")], overload="one"),
            function("Over", [scatter(reduction="mul")], overload="two"),
        ],
    ),
    "an output that nobody reads": model_of(
        [call("AddAt")], [function("AddAt", [scatter(reduction="add"), scatter("n")])]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_plugin_in_a_function_is_found_and_computes_the_same(name, tmp_path):
    model = MODELS[name]
    feeds = {"x": X, "i": INDICES}
    result = rewrite_model(model, find_rewrites())
    assert "ReplaceScatterElements" in {each.rewrite for each in result.applied}
    assert list(result.model.functions) == []
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    np.testing.assert_array_equal(got["y"], run_onnxruntime(model, feeds)["y"])


def test_a_function_may_be_called_with_several_types(tmp_path):
    quantize = helper.make_function(
        "loc", "Round", ["a", "scale", "zero"], ["z"],
        [
            helper.make_node("QuantizeLinear", ["a", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["z"]),
        ],
        OPSETS,
    )  # fmt: skip
    model = model_of(
        [
            call("Round", "p", inputs=("x", "scale", "u")),
            call("Round", "y", inputs=("p", "scale", "s")),
        ],
        [quantize],
    )
    stored = {"scale": np.float32(0.25), "u": np.uint8(8), "s": np.int8(-3)}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()
    )
    feeds = {"x": X, "i": INDICES}
    result = rewrite_model(model, find_rewrites())
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    np.testing.assert_array_equal(got["y"], run_onnxruntime(model, feeds)["y"])
    np.testing.assert_array_equal(got["y"], [[1, -2], [3, 4]])


def test_other_functions_stay():
    plain = function("Plain", [helper.make_node("Add", ["a", "a"], ["z"])])
    model = model_of([call("Plain", "p"), call("AddAt", inputs=("p", "i"))], [plain, ADD_AT])
    result = rewrite_model(model, find_rewrites())
    assert [each.name for each in result.model.functions] == ["Plain"]


def test_a_model_that_needs_no_rewrite_keeps_its_functions():
    """TopK of few elements is looked at, and left to TensorRT."""
    nodes = [
        helper.make_node("Constant", [], ["k"], value_ints=[2]),
        helper.make_node("TopK", ["a", "k"], ["z", "at"]),
    ]
    model = model_of([call("Top")], [function("Top", nodes)])
    result = rewrite_model(model, find_rewrites())
    assert result.applied == []
    assert result.model == model


def test_overloads_are_inlined_even_if_nothing_is_rewritten():
    """TensorRT's parser would call one of them for both."""

    def one(op_type, overload):
        return function("F", [helper.make_node(op_type, ["a"], ["z"])], overload=overload)

    model = model_of(
        [call("F", "p", overload="neg"), call("F", inputs=("p", "i"), overload="abs")],
        [one("Neg", "neg"), one("Abs", "abs")],
    )
    result = rewrite_model(model, find_rewrites())
    assert [node.op_type for node in result.model.graph.node] == ["Neg", "Abs"]


def test_weights_stay_and_keep_their_names():
    weight = numpy_helper.from_array(np.ones((600, 2), np.float32), "w")
    inner = function("F", [helper.make_node("MatMul", ["a", "i"], ["w"]), scatter()])
    model = onnx.ModelProto()
    model.CopyFrom(model_of([call("F")], [inner]))
    model.graph.initializer.append(weight)
    assert not inline_needed(model, {"ScatterElements"})
    assert list(model.graph.initializer) == [weight]
    assert model.graph.node[0].output[0] != "w"


def test_functions_of_another_opset_that_onnx_cannot_convert():
    unknown = helper.make_node("Unknown", ["x"], ["u"], domain="custom")
    largest = helper.make_node("ReduceMax", ["a"], ["z"])
    model = model_of([unknown, call("f", inputs=("u", "i"))], [function("f", [largest])])
    model.opset_import.append(helper.make_opsetid("custom", 1))
    model.functions[0].opset_import[0].version = 16
    with pytest.raises(ModelError, match="another opset than the model, and onnx cannot convert"):
        rewrite_model(model, find_rewrites())


def test_a_function_of_an_opset_beyond_32_bits_is_refused():
    model = model_of([call("Fn")], [function("Fn", [scatter()])])
    model.functions[0].opset_import[0].version = 2**31
    with pytest.raises(ModelError, match="PK408 .*cannot be inlined"):
        rewrite_model(model, find_rewrites())


def test_a_call_without_an_input_that_its_function_needs():
    model = model_of(
        [call("F", inputs=("x",))], [function("F", [helper.make_node("Add", ["a", "i"], ["z"])])]
    )
    with pytest.raises(ModelError, match="PK408 Add 'y' lacks input 1, which is not optional"):
        rewrite_model(model, find_rewrites())


def test_functions_of_another_opset_with_the_same_operators_need_no_conversion():
    """onnx cannot convert them where a type is unknown."""
    unknown = helper.make_node("Unknown", ["x"], ["u"], domain="custom")
    bag = helper.make_node("Compress", ["a", "i"], ["z"], axis=0)
    model = model_of([unknown, call("f", inputs=("u", "i"))], [function("f", [bag])])
    model.opset_import.append(helper.make_opsetid("custom", 1))
    model.functions[0].opset_import[0].version = 16
    assert not inline_needed(model, {"Compress"})
    assert [node.op_type for node in model.graph.node] == ["Unknown", "Compress"]
    assert not model.functions


def test_functions_in_functions_of_another_opset_whose_operators_mean_the_same():
    """onnx cannot convert what an inner function makes; ScatterElements-18 takes more types."""
    inner = function("Inner", [scatter(reduction="add")])
    inner.opset_import[0].version = 16
    calls = [call("Inner", "q", inputs=("a", "i")), call("Inner", "z", inputs=("q", "i"))]
    model = model_of([call("Outer")], [function("Outer", calls), inner])
    result = rewrite_model(model, find_rewrites())
    assert [node.op_type for node in result.model.graph.node] == ["ScatterElements_PK"] * 2
    (expected,) = run_onnxruntime(inline_functions(model), {"x": X, "i": INDICES}).values()
    feeds = {"x": X, "i": INDICES}
    (got,) = run_model(result.model, feeds, result.plugins, base_dir=Path()).values()
    np.testing.assert_array_equal(got, expected)


def test_functions_that_the_parser_would_mistake_are_inlined():
    """It ignores the domain of a function: an operator, or another function, has its name."""
    relu = function("Relu", [helper.make_node("Neg", ["a"], ["z"])])
    result = rewrite_model(model_of([call("Relu")], [relu]), find_rewrites())
    assert result.had_to_inline
    assert [node.op_type for node in result.model.graph.node] == ["Neg"]
    blocks = [function("Block", [helper.make_node(op, ["a"], ["z"])]) for op in ("Neg", "Abs")]
    blocks[1].domain = "other"
    calls = [call("Block", "p"), call("Block", inputs=("p", "i"))]
    calls[1].domain = "other"
    model = model_of(calls, blocks)
    model.opset_import.append(helper.make_opsetid("other", 1))
    result = rewrite_model(model, find_rewrites())
    assert [node.op_type for node in result.model.graph.node] == ["Neg", "Abs"]
