"""Rewrites that need no plugin: nodes of ONNX's own take the place of matched ones."""

import numpy as np
import onnx
import pytest
from onnx import helper

from pluginkit import RewriteChoice
from pluginkit.errors import DeclarationError, RewriteError
from pluginkit.onnx.rewriting.rewrite import Replacement, Rewrite
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from pluginkit.trt.target import Target
from tests.unit.onnx.models import FLOAT, INT64, FuseSilu, model_of, value


class SpellSoftsign(Rewrite):
    """Softsign(x) -> x / (1 + |x|)."""

    pattern = "Softsign"
    native_since = {"tensorrt": "11.2"}

    def rewrite(self, match):
        new = Replacement(match)
        (x,) = match.inputs
        return new.end("Div", x, new.add("Add", new.add("Abs", x), np.float32(1)))


class SpellSwish(Rewrite):
    """Swish(x) -> x * Sigmoid(x)."""

    pattern = "HardSwish"

    def rewrite(self, match):
        new = Replacement(match)
        (x,) = match.inputs
        return new.end("Mul", x, new.add("Sigmoid", x))


def softsign(opset=18):
    nodes = [helper.make_node("Softsign", ["x"], ["y"], name="sign")]
    return model_of(nodes, [value("x", ["n", 4])], [value("y", ["n", 4])], opset=opset)


def test_nodes_of_onnx_take_the_place_of_the_match():
    model = softsign()
    result = rewrite_model(model, [SpellSoftsign])
    assert [node.op_type for node in result.model.graph.node] == ["Abs", "Add", "Div"]
    (applied,) = result.applied
    assert applied.made == ("Abs", "Add", "Div")
    x = np.linspace(-3, 3, 8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_allclose(run_onnxruntime(result.model, {"x": x})["y"], x / (1 + np.abs(x)))
    again = rewrite_model(result.model, [SpellSoftsign])
    assert not again.applied


def test_later_rewrites_know_the_types_of_new_nodes():
    """FuseSilu takes float32 alone, which it can only know from the nodes that SpellSwish made."""
    nodes = [
        helper.make_node("Softsign", ["x"], ["s"]),
        helper.make_node("HardSwish", ["s"], ["y"]),
    ]
    model = model_of(nodes, [value("x", ["n", 4])], [value("y", ["n", 4])])
    result = rewrite_model(model, [SpellSoftsign, SpellSwish, FuseSilu])
    assert [node.op_type for node in result.model.graph.node] == ["Abs", "Add", "Div", "Silu_PK"]
    infos = {info.name: info.type.tensor_type.elem_type for info in result.model.graph.value_info}
    assert infos.get("s") in (None, FLOAT)


def test_a_rewrite_retires_where_the_operator_is_native():
    newer, older = Target("tensorrt", (11, 2, 0)), Target("tensorrt", (10, 16))
    other = Target("tensorrt_rtx", (99,))
    assert rewrite_model(softsign(), [SpellSoftsign], RewriteChoice(target=newer)).retired == [
        "SpellSoftsign"
    ]
    assert not rewrite_model(softsign(), [SpellSoftsign], RewriteChoice(target=newer)).applied
    for target in (older, other, None):
        result = rewrite_model(softsign(), [SpellSoftsign], RewriteChoice(target=target))
        assert len(result.applied) == 1
        assert result.retired == []


def test_a_higher_order_sees_only_what_lower_ones_leave():
    class Last(Rewrite):
        """Softsign(x) -> Identity(x)."""

        pattern = "Softsign"
        order = 1

        def rewrite(self, match):
            return Replacement(match).end("Identity", match.inputs[0])

    result = rewrite_model(softsign(), [Last, SpellSoftsign])
    assert [one.rewrite for one in result.applied] == ["SpellSoftsign"]

    class Provoke(Rewrite):
        """HardSwish(x) -> Softsign(x)."""

        pattern = "HardSwish"
        order = 2

        def rewrite(self, match):
            return Replacement(match).end("Softsign", match.inputs[0])

    nodes = [helper.make_node("HardSwish", ["x"], ["y"])]
    model = model_of(nodes, [value("x", ["n"])], [value("y", ["n"])])
    result = rewrite_model(model, [Provoke, Last, SpellSoftsign])
    assert [one.rewrite for one in result.applied] == ["Provoke", "SpellSoftsign"]


class KeepWhenPositive(Rewrite):
    """Softsign(x) -> If(any positive) then x * t else t, with t = Abs(x)."""

    pattern = "Softsign"

    def rewrite(self, match):
        x, y = match.proto.input[0], match.proto.output[0]
        make = helper.make_node
        then = helper.make_graph([make("Mul", [x, "t"], ["inner"])], "then", [], [self.out()])
        other = helper.make_graph([make("Identity", ["t"], ["inner"])], "else", [], [self.out()])
        return [
            make("Abs", [x], ["t"]),
            make("ReduceMax", [x], ["top"], keepdims=0),
            make("Constant", [], ["zero"], value_float=0.0),
            make("Greater", ["top", "zero"], ["positive"]),
            make("If", ["positive"], [y], then_branch=then, else_branch=other),
        ]

    @staticmethod
    def out():
        return helper.make_tensor_value_info("inner", FLOAT, None)


@pytest.mark.parametrize("x", [[1.0, -2.0], [-1.0, -2.0]])
def test_protobufs_with_bodies_get_names_new_to_the_model(x):
    nodes = [
        helper.make_node("Softsign", ["x"], ["s"], name="first"),
        helper.make_node("Softsign", ["s"], ["y"], name="second"),
        helper.make_node("Neg", ["x"], ["t"], name="third"),  # the name that the rewrite uses
    ]
    model = model_of(nodes, [value("x", ["n"])], [value("y", ["n"]), value("t", ["n"])])
    result = rewrite_model(model, [KeepWhenPositive])
    onnx.checker.check_model(result.model, full_check=True)

    def expected(a):
        return a * np.abs(a) if a.max() > 0 else np.abs(a)

    array = np.array(x, np.float32)
    got = run_onnxruntime(result.model, {"x": array})["y"]
    np.testing.assert_array_equal(got, expected(expected(array)))


def test_reading_what_nothing_produces_is_an_error():
    class Wrong(Rewrite):
        """Softsign(x) -> Identity(nowhere)."""

        pattern = "Softsign"

        def rewrite(self, match):
            return helper.make_node("Identity", ["nowhere"], match.proto.output)

    with pytest.raises(RewriteError, match="PK421.*reads 'nowhere'"):
        rewrite_model(softsign(), [Wrong])


def test_producing_a_value_twice_is_an_error():
    class Wrong(Rewrite):
        """Softsign(x) -> Abs(x) and Neg(x)."""

        pattern = "Softsign"

        def rewrite(self, match):
            made = (match.proto.input, match.proto.output)
            return [helper.make_node("Abs", *made), helper.make_node("Neg", *made)]

    with pytest.raises(RewriteError, match="PK421.*produces 'y', which an earlier node produces"):
        rewrite_model(softsign(), [Wrong])


def test_nodes_whose_types_contradict_the_model_are_an_error():
    class Wrong(Rewrite):
        """Softsign(x) -> max(x)."""

        pattern = "Softsign"

        def rewrite(self, match):
            return Replacement(match).end("ReduceMax", match.inputs[0], keepdims=0)

    with pytest.raises(RewriteError, match="PK423.*the ONNX checker refuses"):
        rewrite_model(softsign(), [Wrong])


def spelled(spell, opset, x, rank=2):
    """Replace a Reshape by the nodes of ``spell``; return their op_types and the model's output."""

    class Spelled(Rewrite):
        """Reshape(x, shape) -> Identity(what ``spell`` makes of x)."""

        pattern = "Reshape"

        def rewrite(self, match):
            new = Replacement(match)
            return new.end("Identity", spell(new, match.inputs[0]))

    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    inputs = [value("x", ["n", 4]), value("shape", ["rank"], INT64)]
    model = model_of([node], inputs, [value("y", [None] * rank)], opset=opset)
    result = rewrite_model(model, [Spelled]).model
    made = [node.op_type for node in result.graph.node[:-1]]
    feeds = {"x": x, "shape": np.zeros(1, np.int64)}
    return made, run_onnxruntime(result, feeds)["y"]


X = np.arange(8, dtype=np.float32).reshape(2, 4)


@pytest.mark.parametrize("opset", [9, 11, 13, 18])
@pytest.mark.parametrize(
    ("spell", "made", "expected"),
    [
        (lambda new, x: new.unsqueeze(x, [1]), ["Unsqueeze"], X[:, None]),
        (lambda new, x: new.reduce("ReduceSum", x, [1]), ["ReduceSum"], X.sum(1)),
        (
            lambda new, x: new.reduce("ReduceMax", x, [0], keepdims=True),
            ["ReduceMax"],
            X.max(0, keepdims=True),
        ),
        (lambda new, x: new.slice(x, 1, 1, 3), ["Slice"], X[:, 1:3]),
        (
            lambda new, x: new.pad(x, [0, 1, 2, 0], np.array(7, np.float32)),
            ["Pad"],
            np.pad(X, [(0, 2), (1, 0)], constant_values=7),
        ),
        (lambda new, x: new.pad(x, [0, 0, 0, 1]), ["Pad"], np.pad(X, [(0, 0), (0, 1)])),
    ],
)
def test_nodes_take_the_form_that_the_opset_has(spell, made, expected, opset):
    got = spelled(spell, opset, X, expected.ndim)
    assert got[0] == made
    np.testing.assert_array_equal(got[1], expected)


def test_slices_take_steps():
    assert spelled(lambda new, x: new.slice(x, 1, 3, -9, -2), 13, X)[1].tolist() == [[3, 1], [7, 5]]


def test_casts_are_made_where_they_are_needed():
    def twice(new, x):
        return new.cast(new.cast(x, "int64"), "float32")

    assert spelled(lambda new, x: new.cast(x, "float32"), 18, X)[0] == []
    assert spelled(twice, 18, X + 0.5)[0] == ["Cast", "Cast"]
    np.testing.assert_array_equal(spelled(twice, 18, X + 0.5)[1], X)

    def of_array(new, x):
        number = new.cast(np.array([2, 3], np.int64), "float32")
        assert number.dtype == np.float32
        return new.add("Mul", new.slice(x, 1, 0, 2), number)

    assert spelled(of_array, 18, X)[0] == ["Slice", "Mul"]


def test_outputs_may_be_produced_by_nodes_of_their_own():
    class Halve(Rewrite):
        """Split(x) -> the first half, the second half."""

        pattern = "Split"

        def rewrite(self, match):
            new = Replacement(match)
            assert match.shape(match.inputs[0]) == (None, 4)
            first, second = (new.slice(match.inputs[0], 1, start, start + 2) for start in (0, 2))
            new.into(match.outputs[:1], "Identity", first)
            return new.into(match.outputs[1:], "Identity", second)

    node = helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2)
    model = model_of([node], [value("x", ["n", 4])], [value(name, ["n", 2]) for name in "ab"])
    result = rewrite_model(model, [Halve]).model
    got = run_onnxruntime(result, {"x": X})
    np.testing.assert_array_equal(got["a"], X[:, :2])
    np.testing.assert_array_equal(got["b"], X[:, 2:])


def test_only_nodes_that_read_certain_types_are_looked_at():
    class OfIntegers(Rewrite):
        """Neg(x) -> Identity(x)."""

        pattern = "Neg"
        input_dtypes = ("int64",)

        def rewrite(self, match):
            return Replacement(match).end("Identity", match.inputs[0])

    nodes = [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Neg", ["i"], ["j"])]
    model = model_of(
        nodes,
        [value("x", ["n"]), value("i", ["n"], INT64)],
        [value("y", ["n"]), value("j", ["n"], INT64)],
    )
    result = rewrite_model(model, [OfIntegers])
    assert [node.op_type for node in result.model.graph.node] == ["Neg", "Identity"]
    assert result.refused == []


def test_input_dtypes_are_names():
    with pytest.raises(DeclarationError, match="PK420.*input_dtypes is .*expected names of dtypes"):

        class Wrong(Rewrite):
            """Neg(x) -> Identity(x)."""

            pattern = "Neg"
            input_dtypes = (INT64,)

            def rewrite(self, match):
                return []
