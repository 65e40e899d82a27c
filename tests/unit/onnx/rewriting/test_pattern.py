"""Patterns match, or give the reason that --explain prints."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pluginkit.errors import DeclarationError
from pluginkit.onnx.model.graphs import scopes
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.rewrite import AnyOf, Constant, Op, Optional, Replacement, Rewrite
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from tests.unit.onnx.models import Silu, model_of, value


def found(pattern, nodes, constants=(), inputs=("x",), opset=18, **options):
    """Return the match of a pattern in a graph that ends with 'y', or the reason against it."""
    wanted, matches = pattern, []

    class Look(Rewrite):
        """before -> after."""

        plugin = Silu
        pattern = wanted

        def check(self, match):
            matches.append(match)
            return "only looking"

        def rewrite(self, match):
            raise AssertionError

    stored = [
        numpy_helper.from_array(np.asarray(array), name) for name, array in dict(constants).items()
    ]
    model = model_of(
        nodes, [value(name, [2, 4]) for name in inputs], [value("y", None)], stored, opset=opset
    )
    model.opset_import.add(domain="other", version=3)
    result = rewrite_model(model, [Look], explain=True, **options)
    if matches:
        assert not result.mismatched
        return matches[-1]
    (mismatched,) = result.mismatched
    assert mismatched.node == "last"
    return mismatched.reason


def node(op_type, inputs, outputs=("y",), name="last", **attributes):
    return helper.make_node(op_type, list(inputs), list(outputs), name=name, **attributes)


def named(match, *names):
    return [match[name].name for name in names]


def softmax(**attributes):
    return [node("Softmax", ["x"], **attributes)]


def test_an_attribute_must_have_the_value():
    pattern = Op("Softmax", "x", attributes={"axis": 0})
    assert named(found(pattern, softmax(axis=0)), "x") == ["x"]
    said = found(pattern, softmax(axis=1))
    assert said == "Softmax 'last': attribute 'axis' is 1; expected 0"


def test_an_attribute_that_is_left_out_has_the_operators_default_of_that_opset():
    pattern = Op("Softmax", attributes={"axis": -1})
    assert found(pattern, softmax()).attribute("axis") is None
    assert found(pattern, softmax(), opset=11).endswith("is 1; expected -1")


def test_a_tensor_among_attributes_is_an_array():
    table = np.array([[1.5, -2.0]], np.float32)
    nodes = [node("Table", ["x"], domain="other", table=numpy_helper.from_array(table))]
    got = found(Op("Table", "x", domain="other"), nodes).attribute("table")
    assert isinstance(got, np.ndarray)
    np.testing.assert_array_equal(got, table)


@pytest.mark.parametrize(("stored", "read"), [(1, True), (0, False), (2, 2), (0.5, 0.5)])
def test_an_attribute_with_a_bool_for_default_is_one(stored, read):
    pattern = Op("Flip", "x", domain="other")
    match = found(pattern, [node("Flip", ["x"], domain="other", reverse=stored)])
    assert match.attribute("reverse", False) == read
    assert type(match.attribute("reverse", False)) is type(read)
    assert match.attribute("reverse") == stored
    assert match.attribute("absent", True) is True


def test_an_attribute_may_have_to_fulfil_a_condition():
    pattern = Op("Elu", "x", attributes={"alpha": lambda alpha: alpha > 1})
    assert named(found(pattern, [node("Elu", ["x"], alpha=1.5)]), "x") == ["x"]
    assert "is 1.0, which the pattern does not take" in found(pattern, [node("Elu", ["x"])])


def test_float_attributes_are_those_that_onnx_stores():
    pattern = Op("Elu", attributes={"alpha": 0.1})
    assert found(pattern, [node("Elu", ["x"], alpha=0.1)]).node.op == "Elu"
    assert "expected 0.1" in found(pattern, [node("Elu", ["x"], alpha=0.2)])


def test_lists_and_texts_are_compared_whole():
    pattern = Op("Transpose", attributes={"perm": [1, 0]})
    assert found(pattern, [node("Transpose", ["x"], perm=[1, 0])]).attribute("perm") == [1, 0]
    assert "[0, 1]" in found(pattern, [node("Transpose", ["x"], perm=[0, 1])])
    assert "is None; expected [1, 0]" in found(pattern, [node("Transpose", ["x"])])
    pattern = Op("Gelu", attributes={"approximate": "tanh"})
    gelu = [node("Gelu", ["x"], approximate="tanh")]
    assert found(pattern, gelu, opset=20).attribute("approximate") == "tanh"
    assert "is 'none'" in found(pattern, [node("Gelu", ["x"])], opset=20)


HALF = Op("Mul", "x", Constant("half", value=0.5), commutative=True)


@pytest.mark.parametrize(
    "stored",
    [
        np.float32(0.5),
        np.full((1, 1), 0.5, np.float16),
        np.nextafter(np.float32(0.5), np.float32(1)),
    ],
)
def test_a_constant_may_be_an_initializer_of_any_rank_and_float_type(stored):
    match = found(HALF, [node("Mul", ["k", "x"])], {"k": stored})
    assert named(match, "x", "half") == ["x", "k"]
    np.testing.assert_array_equal(match.constant(match["half"]), stored)


@pytest.mark.parametrize(
    "attributes",
    [
        {"value": numpy_helper.from_array(np.float32([0.5]))},
        {"value_float": 0.5},
        {"value_floats": [0.5]},
    ],
)
def test_a_constant_may_be_a_node(attributes):
    made = helper.make_node("Constant", [], ["k"], **attributes)
    match = found(HALF, [made, node("Mul", ["x", "k"])])
    assert match.constant(match["half"]).item() == 0.5


def test_integers_of_constant_nodes():
    pattern = Op("Reshape", "x", Constant(value=[4, 2]))
    made = helper.make_node("Constant", [], ["k"], value_ints=[4, 2])
    assert found(pattern, [made, node("Reshape", ["x", "k"])]).node.op == "Reshape"
    made = helper.make_node("Constant", [], ["k"], value_ints=[2, 4])
    assert "'k' is [2, 4]; expected [4, 2]" in found(pattern, [made, node("Reshape", ["x", "k"])])


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (np.float32(0.5001), "'k' is 0.500"),
        (np.full(2, 0.5, np.float32), "'k' is [0.5, 0.5]; expected 0.5"),
        (np.ones((3, 4), np.float32), "'k' is an array of shape (3, 4); expected 0.5"),
    ],
)
def test_another_constant_does_not_fit(stored, reason):
    pattern = Op("Mul", "x", Constant("half", value=0.5))
    assert reason in found(pattern, [node("Mul", ["x", "k"])], {"k": stored})


def test_what_is_computed_or_external_is_no_constant():
    pattern = Op("Mul", "x", Constant("k"))
    nodes = [helper.make_node("Relu", ["x"], ["k"]), node("Mul", ["x", "k"])]
    assert found(pattern, nodes) == "'k' is computed; expected a constant"
    outside = onnx.TensorProto(name="k", data_type=1, dims=[1], data_location=1)
    outside.external_data.add(key="location", value="nowhere.bin")
    assert pattern.inputs[1].mismatch(outside) == "is in an external file, which is not read"


CLIP = Op("Clip", "x", Optional("low"), Optional(Constant("high")))


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [(["x"], ["", ""]), (["x", "low"], ["low", ""]), (["x", "", "high"], ["", "high"])],
)
def test_optional_inputs_may_be_absent(inputs, expected):
    match = found(CLIP, [node("Clip", inputs)], {"low": np.float32(0), "high": np.float32(1)})
    assert named(match, "low", "high") == expected


def test_an_optional_input_that_is_there_must_fit():
    nodes = [helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0), node("Clip", ["x", "", "m"])]
    assert found(CLIP, nodes) == "'m' is computed; expected a constant"
    pattern = Op("Clip", "x", "low", Optional("high"))
    assert found(pattern, [node("Clip", ["x"])]) == "an input is absent; expected 'low'"
    pattern = Op("Clip", "x", None, "high")
    nodes = [node("Clip", ["x", "low", "high"])]
    stored = {"low": np.float32(0), "high": np.float32(1)}
    assert found(pattern, nodes, stored) == "input 'low' is given; expected none"


def test_optional_nodes_may_be_absent():
    pattern = Op("Clip", "x", Optional(Op("Neg", "limit", name="neg")))
    assert named(found(pattern, [node("Clip", ["x"])]), "neg") == [""]
    nodes = [helper.make_node("Neg", ["k"], ["n"]), node("Clip", ["x", "n"])]
    match = found(pattern, nodes, {"k": np.float32(1)})
    assert (match["neg"].op, match["limit"].name) == ("Neg", "k")


def test_further_inputs():
    pattern = Op("Concat", "first", ...)
    concat = [node("Concat", ["x", "z", "x"], axis=0)]
    assert [each.name for each in found(pattern, concat, inputs="xz").inputs] == ["x", "z", "x"]
    assert named(found(pattern, [node("Concat", ["x"], axis=0)]), "first") == ["x"]
    said = found(Op("Concat", "first", "second"), concat, inputs="xz")
    assert said == "Concat 'last': the number of its inputs is 3; expected 2"


def split():
    return helper.make_node("Split", ["x"], ["a", "b"], name="split", axis=1, num_outputs=2)


def test_an_op_stands_for_its_first_output_and_output_for_another():
    take_second = [split(), node("Relu", ["b"])]
    assert found(Op("Relu", Op("Split", "x")), take_second) == "'b' is not output 0 of Split"
    assert named(found(Op("Relu", Op("Split", "x").output(1)), take_second), "x") == ["x"]


def test_two_outputs_of_one_node():
    both = Op("Split", "x", name="both")
    pattern = Op("Mul", both.output(0), Op("Sigmoid", both.output(1)), commutative=True)
    gate = helper.make_node("Sigmoid", ["b"], ["g"], name="gate")
    match = found(pattern, [split(), gate, node("Mul", ["g", "a"])])
    assert match["both"].name == "split"
    assert [each.name for each in match.nodes] == ["last", "gate", "split"]
    other = helper.make_node("Split", ["x"], ["c", "d"], name="other", axis=1, num_outputs=2)
    gate.input[0] = "d"
    said = found(pattern, [split(), other, gate, node("Mul", ["a", "g"])])
    assert said == "two inputs come from different nodes; expected one"


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (
            [helper.make_node("Tanh", ["x"], ["t"], name="tanh"), node("Mul", ["x", "t"])],
            "there is Tanh 'tanh'; expected Sigmoid",
        ),
        ([node("Mul", ["x", "x"])], "'x' comes from no node of this graph; expected Sigmoid"),
        (
            [helper.make_node("Sigmoid", ["z"], ["s"], name="s"), node("Mul", ["x", "s"])],
            "'x' is both 'x' and 'z'; expected one value",
        ),
        (
            [
                helper.make_node("Sigmoid", ["x"], ["s"], name="s", domain="other"),
                node("Mul", ["x", "s"]),
            ],
            "there is Sigmoid 's' of other; expected Sigmoid",
        ),
    ],
)
def test_the_reason_is_that_of_the_attempt_that_went_furthest(nodes, reason):
    pattern = Op("Mul", "x", Op("Sigmoid", "x"), commutative=True)
    assert found(pattern, nodes, inputs="xz") == reason


def test_nothing_is_explained_unless_asked():
    class Never(Rewrite):
        """relu(tanh(x)) -> tanh(x)."""

        pattern = Op("Relu", Op("Tanh", "x"))

        def rewrite(self, match):
            return Replacement(match).end("Tanh", match["x"])

    model = model_of([node("Relu", ["x"])], [value("x", [2])], [value("y", [2])])
    assert rewrite_model(model, [Never]).mismatched == []
    assert len(rewrite_model(model, [Never], explain=True).mismatched) == 1


def test_the_last_node_may_have_several_outputs(tmp_path):
    class SplitByHand(Rewrite):
        """Split(Relu(x), 2 outputs) -> 2 Slice(Relu(x))."""

        pattern = Op("Split", Op("Relu", "x"), attributes={"axis": 1, "num_outputs": 2})

        def rewrite(self, match):
            new = Replacement(match)
            relu = new.add("Relu", match["x"])
            for output, (start, end) in zip(match.outputs, [(0, 2), (2, 4)], strict=True):
                bounds = [np.array([each], np.int64) for each in (start, end, 1)]
                nodes = new.into([output], "Slice", relu, *bounds)
            return nodes

    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Split", ["r"], ["a", "b"], axis=1, num_outputs=2),
        helper.make_node("Sub", ["a", "b"], ["d"]),
    ]
    model = model_of(nodes, [value("x", ["n", 4])], [value("d", ["n", 2]), value("b", ["n", 2])])
    result = rewrite_model(model, [SplitByHand])
    assert [each.op_type for each in result.model.graph.node] == ["Relu", "Slice", "Slice", "Sub"]
    feeds = {"x": np.arange(-4, 4, dtype=np.float32).reshape(2, 4)}
    got = run_model(result.model, feeds, {}, base_dir=tmp_path)
    for name, array in run_onnxruntime(model, feeds).items():
        np.testing.assert_array_equal(got[name], array)


@pytest.mark.parametrize("is_counted_before", [True, False])
def test_readers_are_counted_again_where_nodes_are_replaced(is_counted_before):
    nodes = [node("Neg", ["x"], ["a"]), node("Add", ["a", "a"], ["b"]), node("Mul", ["a", "b"])]
    model = model_of(nodes, [value("x", [1])], [value("y", [1])])
    index = GraphIndex(next(scopes(model)))
    if is_counted_before:
        assert index.readers == {"x": 1, "a": 2, "b": 1}
    index.replace([index.nodes[1]], [node("Relu", ["x"], ["c"]), node("Sub", ["c", "x"], ["b"])])
    assert +index.readers == {"x": 3, "a": 1, "b": 1, "c": 1}


def test_what_a_body_stores_does_not_come_from_the_graph_around_it():
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]> g (bool c, float x) => (float y)
        { y = If(c) <then_branch = t () => (float p) <float k = {1}> { p = Add(x, k) },
                     else_branch = e () => (float q) { q = Identity(x) }> }"""
    )
    then = GraphIndex(list(scopes(model))[1])
    assert [name for name in ("k", "p", "x") if then.is_outer(name)] == ["x"]


@pytest.mark.parametrize("outside", ["", "k = Constant<value_float = 1.0>()"])
def test_an_input_of_a_body_hides_what_the_graph_around_it_stores(outside):
    stored = "float go = {1}" if outside else "float k = {1}"
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]> g (int64 n, bool c, float x) => (float y)
        <{stored}> {{ {outside} y = Loop(n, c, x) <body = b (int64 i, bool d, float k) =>
            (bool e, float z) {{ e = Identity(d) z = Neg(k) }}> }}"""
    )
    around, body = map(GraphIndex, scopes(model))
    assert around.constant("k") is not None
    assert body.constant("k") is None


INVERSE = Op("Mul", "x", AnyOf(Op("Reciprocal", "a"), Op("Div", Constant(value=1), "b")))


def test_the_first_way_that_fits_is_taken():
    match = found(INVERSE, [node("Reciprocal", ["x"], ["r"]), node("Mul", ["x", "r"])])
    assert named(match, "x", "a") == ["x", "x"]
    with pytest.raises(KeyError, match="calls nothing 'b'"):
        match["b"]
    div = [node("Div", ["one", "z"], ["r"]), node("Mul", ["x", "r"])]
    match = found(INVERSE, div, {"one": np.float32(1)}, inputs=("x", "z"))
    assert named(match, "x", "b") == ["x", "z"]


def test_a_way_that_leads_nowhere_further_on_is_left_for_the_next():
    value = AnyOf(Op("Cast", "x"), "wide")
    pattern = Op("Add", value, Op("Neg", "wide"))
    nodes = [node("Cast", ["x"], ["c"], to=1), node("Neg", ["c"], ["n"]), node("Add", ["c", "n"])]
    assert named(found(pattern, nodes), "wide") == ["c"]


def test_ways_of_which_none_fits():
    nodes = [node("Div", ["two", "x"], ["r"]), node("Mul", ["x", "r"])]
    assert found(INVERSE, nodes, {"two": np.float32(2)}) == "'two' is 2.0; expected 1"


def test_a_match_knows_only_what_its_pattern_names():
    match = found(Op("Relu", "x"), [node("Relu", ["x"])])
    with pytest.raises(KeyError, match="calls nothing 'z'"):
        match["z"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Op("Concat", ..., "x"),
        lambda: Op("Add", "x", ..., commutative=True),
        lambda: Op("Split").output(-1),
        lambda: Optional(None),
        lambda: Optional(""),
        lambda: Constant(3),
        AnyOf,
        lambda: AnyOf("x", None),
        lambda: AnyOf(Optional("x")),
    ],
)
def test_what_is_no_pattern(make):
    with pytest.raises(DeclarationError, match="PK420"):
        make()


def test_patterns_read_like_what_was_written():
    pattern = Op("Clip", "x", Optional("low"), ..., attributes={"a": 1, "b": callable})
    text = "Op('Clip', 'x', Optional('low'), ..., attributes={'a': 1, 'b': a condition})"
    assert repr(pattern) == text
    assert repr(HALF.inputs[1]) == "Constant('half', value=0.5)"
    assert repr(Op("Split").output(1)) == "Op('Split').output(1)"
    assert repr(AnyOf("x", Constant())) == "AnyOf('x', Constant())"
