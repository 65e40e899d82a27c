"""Nodes that TensorRT's parser, seen in TensorRT-RTX 1.7.1, crashes on or never comes back from."""

import warnings

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from pluginkit.engine.parse.parser_preconditions import check_operators
from pluginkit.errors import ModelError
from tests.unit.onnx.models import BOOL, FLOAT, INT64, model_of, value

X = value("x", [2, 4, 3, 3])


def model(node, *inputs, stored=(), opset=18):
    made = model_of([node], list(inputs), [value(node.output[0], None)], list(stored))
    made.opset_import[0].version = opset
    return made


def node(op_type, names, outputs="y", **attributes):
    return helper.make_node(op_type, names.split(), outputs.split(), op_type.lower(), **attributes)


def array(name, *elements, shape=None):
    content = np.array(elements, np.int64)
    return numpy_helper.from_array(content if shape is None else content.reshape(shape), name)


def body(inputs, outputs, number=()):
    names = [value(name, number if name == "i" else []) for name in inputs]
    made = [name for name in outputs if name not in inputs]
    nodes = [helper.make_node("Identity", ["x"], [name]) for name in made]
    return helper.make_graph(nodes, "body", names, [value(name, None) for name in outputs])


def loop(inputs, outputs, results="y", number=()):
    return model(
        node("Loop", "m c x", results, body=body(inputs, outputs, number)),
        X, value("m", [], INT64), value("c", [], BOOL),
    )  # fmt: skip


WRONG = {
    "arity": (model(node("Relu", "x x"), X), "has 2 inputs; expected 1"),
    "too few": (model(node("Concat", "", axis=0), X), "has 0 inputs; expected 1 or more"),
    "outputs": (model(node("Relu", "x", "y z"), X), "has 2 outputs; expected 1"),
    "required input": (
        model(helper.make_node("Add", ["", "x"], ["y"], "add"), X), "lacks input 0",
    ),
    "kind": (model(node("Softmax", "x", axis="1"), X), "'axis' of type STRING; expected INT"),
    "required attribute": (model(node("Cast", "x"), X), "lacks attribute 'to'"),
    "other domain": (
        model(node("Relu", "x x", domain="com.microsoft"), X), "has 2 inputs; expected 1",
    ),
    "older opset": (model(node("TopK", "x", "y z"), X, opset=9), "lacks attribute 'k'"),
    "blocksize 0": (model(node("DepthToSpace", "x", blocksize=0), X), "'blocksize'"),
    "blocksize of 64 bits": (model(node("SpaceToDepth", "x", blocksize=2**62), X), "'blocksize'"),
    "batch_dims": (
        model(node("GatherND", "x i", batch_dims=-(2**31)), X, stored=[array("i", 0)]),
        "'batch_dims'",
    ),
    "direction": (
        model(node("GRU", "x x x", direction="DCR", hidden_size=2), X), "'direction'",
    ),
    "scan": (
        model(node("Scan", "x", body=body(["a"], ["b"]), num_scan_inputs=7), X), "scans 7 of 1",
    ),
    "scan body": (
        model(node("Scan", "x", body=body([], ["b"]), num_scan_inputs=1), X), "0 inputs and 1",
    ),
    "loop body without outputs": (loop("ics", []), "3 inputs and 0 outputs; expected 3 and 2"),
    "loop body without inputs": (loop("", "ab"), "0 inputs and 2 outputs; expected 3 and 2"),
    "loop results": (loop("ics", "ab", "y z"), "3 inputs and 2 outputs; expected 3 and 3"),
    "loop number": (loop("ics", "cb", number=[1]), "number 'i' as a vector; expected a scalar"),
    "loop condition": (loop("ics", "ab"), "condition 'a' is float32; expected bool"),
    "negative size": (
        model(
            node("GatherND", "x i"), X, stored=[TensorProto(name="i", data_type=7, dims=[-1])]
        ),
        "tensor 'i'",
    ),
}  # fmt: skip
SHAPES = {
    "k of two": model(node("TopK", "x k", "y z"), X, stored=[array("k", 1, 2)]),
    "k of no element": model(node("TopK", "x k", "y z"), X, stored=[array("k")]),
    "k of four axes": model(node("TopK", "x k", "y z"), X, value("k", [1, 1, 1, 1], INT64)),
    "scalar shape": model(node("ConstantOfShape", "s"), X, stored=[array("s", 3, shape=())]),
    "shape of three axes": model(
        node("Reshape", "x s"), X, stored=[array("s", 2, 36, shape=(1, 1, 2))]
    ),
    "shape of nine axes": model(node("Expand", "x s"), X, stored=[array("s", *[1] * 9)]),
    "repeats of nine axes": model(node("Tile", "x s"), X, value("s", [9], INT64)),
    "scalar": model(node("ArgMax", "s"), value("s", [], FLOAT)),
    "scalar indices": model(node("GatherND", "x i"), X, stored=[array("i", 0, shape=())]),
    "empty limit": model(node("Range", "a a b"), value("a", [], INT64), stored=[array("b")]),
    "scalar starts": model(
        node("Slice", "x a b"), X, stored=[array("a", 0, shape=()), array("b", 1)]
    ),
    "no sizes": model(node("Split", "x s"), X, stored=[array("s")]),
    "repeats of two axes": model(node("Tile", "x r"), X, stored=[array("r", 1, 1, shape=(1, 2))]),
    "limit of four axes": model(
        node("Loop", "m c", "y", body=body("ic", "ab")), X,
        value("m", [1, 2, 1, 1], INT64), value("c", [], BOOL),
    ),
    "no heads": model(
        node("RotaryEmbedding", "r cos cos"), value("r", [1, 2, 8]), value("cos", [1, 2, 4]),
        opset=23,
    ),
}  # fmt: skip
RIGHT = {
    "k": model(node("TopK", "x k", "y z"), X, stored=[array("k", 1)]),
    "k of unknown size": model(node("TopK", "x k", "y z"), X, value("k", ["n"], INT64)),
    "shape": model(node("Reshape", "x s"), X, stored=[array("s", 2, 36)]),
    "loop": loop("ics", "ib"),
    "split": model(node("Split", "x", "y z", split=[1, 3], axis=1), X, opset=11),
    "an attribute of another opset": model(node("Relu", "x", alpha=1.0), X),
    "an operator that was taken out": model(node("Upsample", "x x"), X, opset=18),
    "a plugin's": model(node("Foo_TRT", "x x x", "y z", mode="a"), X),
    "no optional input": model(node("Clip", "x"), X),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_contradicts_the_schema_is_refused(name):
    made, message = WRONG[name]
    with pytest.raises(ModelError) as caught:
        check_operators(made)
    assert caught.value.code == "PK446"
    assert message in str(caught.value)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_that_the_operator_does_not_take_is_refused(name):
    before = SHAPES[name].SerializeToString()
    with pytest.raises(ModelError) as caught:
        check_operators(SHAPES[name])
    assert caught.value.code == "PK447"
    assert SHAPES[name].SerializeToString() == before


def test_a_size_of_which_the_parser_would_keep_32_bits_is_refused():
    made = model(node("Relu", "x"), value("x", ["n", 2**32 + 8]))
    with pytest.raises(ModelError, match=r"'x' has shape \(\?, 4294967304\)") as caught:
        check_operators(made)
    assert caught.value.code == "PK447"
    check_operators(model(node("Relu", "x"), value("x", ["n", 2**31 - 1])))


@pytest.mark.parametrize("name", RIGHT)
def test_what_the_operator_takes_passes(name):
    before = RIGHT[name].SerializeToString()
    check_operators(RIGHT[name])
    assert RIGHT[name].SerializeToString() == before


def test_local_functions_are_looked_into():
    inner = helper.make_node("Relu", ["a", "a"], ["b"], "inner")
    opsets = [helper.make_opsetid("", 18)]
    made = model(node("F", "x", domain="f"), X)
    made.functions.append(helper.make_function("f", "F", ["a"], ["b"], [inner], opsets))
    made.opset_import.append(helper.make_opsetid("f", 1))
    with pytest.raises(ModelError, match="has 2 inputs") as caught:
        check_operators(made)
    assert caught.value.code == "PK446"


def test_an_attribute_of_a_function_outside_one_is_refused():
    made = model(node("GRU", "x x x", hidden_size=2), X)
    made.graph.node[0].attribute.add(name="direction", type=3, ref_attr_name="direction")
    with pytest.raises(ModelError, match="'direction' that refers to a function's") as caught:
        check_operators(made)
    assert caught.value.code == "PK446"


def test_an_operator_of_a_functions_name_is_the_function():
    made = model(node("Relu", "x x", domain="f"), X)
    opsets = [helper.make_opsetid("", 18)]
    add = helper.make_node("Add", ["a", "c"], ["b"])
    made.functions.append(helper.make_function("f", "Relu", ["a", "c"], ["b"], [add], opsets))
    made.opset_import.append(helper.make_opsetid("f", 1))
    check_operators(made)
    made.graph.node[0].domain = ""
    with pytest.raises(ModelError, match="has 2 inputs"):
        check_operators(made)


@pytest.mark.slow
def test_no_model_of_onnx_own_tests_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy, where the reference meets NaN
        cases = [case for case in collect_testcases(None) if case.model is not None]
    assert len(cases) > 1000
    for case in cases:
        check_operators(case.model)


def test_an_operator_of_another_domain_that_has_the_name_of_one_of_onnx_is_refused():
    """The parser ignores domains, and the attributes that it does not know."""
    made = model(node("Softmax", "x", domain="acme", temperature=2.0), X)
    with pytest.raises(ModelError, match="PK466 Softmax 'softmax' is of domain 'acme'") as caught:
        check_operators(made)
    assert "and takes it for ONNX's Softmax" in str(caught.value)


def test_an_operator_in_the_layout_of_a_cpu_is_refused_with_what_made_it():
    made = model(node("Conv", "x", "x", domain="com.microsoft.nchwc"), X)
    with pytest.raises(ModelError, match="PK466") as caught:
        check_operators(made)
    assert "save it with ORT_ENABLE_EXTENDED" in str(caught.value)


@pytest.mark.parametrize("domain", ["ai.onnx", "com.microsoft", "fn"])
def test_operators_of_domains_that_the_parser_means_and_calls_of_functions_pass(domain):
    made = model(node("Softmax", "x", domain=domain, axis=0), X)
    made.opset_import.append(helper.make_opsetid("fn", 1))
    inner = helper.make_node("Softmax", ["a"], ["b"], axis=1)
    opsets = [helper.make_opsetid("", 18)]
    made.functions.append(helper.make_function("fn", "Softmax", ["a"], ["b"], [inner], opsets))
    check_operators(made)
    made.graph.node[0].domain = "acme"
    with pytest.raises(ModelError, match="PK466"):
        check_operators(made)
