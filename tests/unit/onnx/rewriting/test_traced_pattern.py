"""Patterns that are written as functions, and what check and rewrite get from them."""

import inspect

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pluginkit.errors import DeclarationError, RewriteError
from pluginkit.onnx import Op, Replacement, Rewrite
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.rewriting.traced_pattern import trace_pattern
from tests.unit.onnx.models import model_of, value


def traced(function):
    return repr(trace_pattern(Rewrite, function))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda op, x: op.Mul(x, op.Sigmoid(x)), "Op('Mul', 'x', Op('Sigmoid', 'x'))"),
        (lambda op, x: op.Pow(x, 2), "Op('Pow', 'x', Constant(value=2))"),
        (lambda op, x, k: op.Mul(x, op.constant(k)), "Op('Mul', 'x', Constant('k'))"),
        (
            lambda op, x, k: op.Mul(x, op.constant(k, 0.5)),
            "Op('Mul', 'x', Constant('k', value=0.5))",
        ),
        (lambda op, x, low=None: op.Clip(x, low), "Op('Clip', 'x', Optional('low'))"),
        (
            lambda op, x, low=None: op.Clip(x, op.constant(low)),
            "Op('Clip', 'x', Optional(Constant('low')))",
        ),
        (
            lambda op, x: op.Clip(x, op.optional(op.Neg(x))),
            "Op('Clip', 'x', Optional(Op('Neg', 'x')))",
        ),
        (lambda op, x: op.Softmax(x, axis=-1), "Op('Softmax', 'x', attributes={'axis': -1})"),
        (lambda op, x: op.Cast(x, to="float32"), "Op('Cast', 'x', attributes={'to': 1})"),
        (lambda op, x: op.Concat(x, ...), "Op('Concat', 'x', ...)"),
        (lambda op, x: op.node(("Max", "Min"), x), "Op('Max', 'Min', 'x')"),
        (
            lambda op, x: op.Relu(op.any_of(op.Cast(x), x)),
            "Op('Relu', AnyOf(Op('Cast', 'x'), 'x'))",
        ),
        (lambda op, x: op.Relu(op.Split(x).output(1)), "Op('Relu', Op('Split', 'x').output(1))"),
    ],
)
def test_a_function_is_the_pattern_that_it_builds(function, expected):
    assert traced(function) == expected


def test_onnxs_commutative_operators_match_either_way():
    assert trace_pattern(Rewrite, lambda op, x, y: op.Add(x, y)).commutative
    assert not trace_pattern(Rewrite, lambda op, x, y: op.Sub(x, y)).commutative
    assert not trace_pattern(Rewrite, lambda op, x: op.Mul(x, x)).commutative
    other = trace_pattern(Rewrite, lambda op, x, y: op.domain("com.example").Add(x, y))
    assert (other.domain, other.commutative) == ("com.example", False)


def test_nodes_get_names_and_may_be_kept():
    pattern = trace_pattern(Rewrite, lambda op, x: op.Neg(op.Relu(x).named("inner", kept=True)))
    (inner,) = pattern.inputs
    assert (inner.name, inner.kept) == ("inner", True)


def test_an_attribute_may_be_a_condition():
    pattern = trace_pattern(Rewrite, lambda op, x: op.Elu(x, alpha=lambda alpha: alpha > 1))
    assert pattern.attribute_mismatch(helper.make_node("Elu", ["x"], ["y"], alpha=2.0), 18) is None
    assert "is 1.0" in pattern.attribute_mismatch(helper.make_node("Elu", ["x"], ["y"]), 18)


def broken_add(op, x, y):
    return op.Relu(x + y)


def broken_line(op, x):
    inner = op.Relu(x)
    return inner.nonsense


@pytest.mark.parametrize(
    ("function", "line", "message"),
    [
        (lambda: None, 0, "has no parameter 'op'"),
        (lambda op, x: None, 0, "returned None; expected a node"),
        (lambda op, x: x, 0, "returned 'x'; expected a node"),
        (lambda op, x, y: op.Relu(x), 0, "does not use its parameter 'y'"),
        (lambda op, x=3: op.Relu(x), 0, "has the parameter 'x=3'"),
        (lambda op, *xs: op.Relu(*xs), 0, "has the parameter '*xs'"),
        (lambda op, x: op.Relu(x, "k"), 0, "uses the value 'k', which is none of its parameters"),
        (lambda op, x: op.Relu([x]), 0, "failed: DeclarationError"),
        (lambda op, x: op.Relu(op.constant(op.Neg(x))), 0, "failed: DeclarationError"),
        (broken_add, 0, "does not use its parameter 'x'"),
        (broken_line, 2, "failed: AttributeError"),
    ],
)
def test_a_wrong_function_is_an_error_that_names_the_line(function, line, message):
    with pytest.raises(DeclarationError) as caught:
        trace_pattern(Rewrite, function)
    assert caught.value.code == "PK420"
    assert message in caught.value.message
    first = inspect.getsourcelines(function)[1]
    assert caught.value.where == f"{__file__}, line {first + line}"
    assert caught.value.fix


class FuseClipped(Rewrite):
    """Relu(Clip(x, low) * half) -> Clip(x, low) with facts."""

    def pattern(self, op, x, half, low=None):
        return op.Relu(op.Mul(op.Clip(x, low).named("clip"), op.constant(half)))

    def check(self, match, half, clip):
        assert clip.op == "Clip"
        number = float(match.constant(half))
        return "half is not 0.5" if number != 0.5 else {"number": number}

    def rewrite(self, match, x, low, facts):
        new = Replacement(match)
        scaled = new.add("Mul", x, np.float32(facts["number"]))
        return new.end("Relu", scaled if low is None else new.add("Max", scaled, low))


def clipped(inputs, half=0.5):
    nodes = [
        helper.make_node("Clip", inputs, ["c"]),
        helper.make_node("Mul", ["half", "c"], ["m"]),
        helper.make_node("Relu", ["m"], ["y"], "last"),
    ]
    stored = [
        numpy_helper.from_array(np.float32(number), name)
        for name, number in (("half", half), ("low", -1))
    ]
    return model_of(nodes, [value("x", [4])], [value("y", [4])], stored)


@pytest.mark.parametrize(
    ("inputs", "expected"), [(["x"], ["Mul", "Relu"]), (["x", "low"], ["Mul", "Max", "Relu"])]
)
def test_check_and_rewrite_get_what_they_name_and_an_absent_input_is_none(inputs, expected):
    result = rewrite_model(clipped(inputs), [FuseClipped])
    assert [node.op_type for node in result.model.graph.node] == expected


def test_a_reason_is_a_string_and_facts_are_anything_else():
    (refused,) = rewrite_model(clipped(["x"], half=0.25), [FuseClipped]).refused
    assert refused.reason == "half is not 0.5"


@pytest.mark.parametrize("found", [None, True, False, ""])
def test_facts_that_rewrite_names_must_be_returned(found):
    class NoFacts(FuseClipped):
        """Relu(...) -> nothing."""

        def check(self, match):
            return found

    with pytest.raises(
        RewriteError, match="PK421 NoFacts.check returned .*; expected a reason, or"
    ):
        rewrite_model(clipped(["x"]), [NoFacts])


def test_facts_that_rewrite_does_not_name_are_an_error():
    class LostFacts(FuseClipped):
        """Relu(...) -> nothing."""

        def rewrite(self, match, x):
            return []

    with pytest.raises(RewriteError, match="PK421 LostFacts.check returned {'number': 0.5}"):
        rewrite_model(clipped(["x"]), [LostFacts])


def test_a_name_of_another_alternative_is_none():
    seen = []

    class Look(Rewrite):
        """Relu(...) -> Relu(...)."""

        pattern = Op("Relu", "x", name="relu")

        def check(self, match, x, relu, other=3):
            seen.append((x.name, relu.op, other))
            return "only looking"

        def rewrite(self, match):
            raise AssertionError

    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", [1])], [value("y", [1])])
    rewrite_model(model, [Look])
    assert seen == [("x", "Relu", 3)]

    class Either(Rewrite):
        """Relu(...) -> Relu(...)."""

        @staticmethod
        def pattern(op, a, b):
            return op.Relu(op.any_of(op.Neg(a), b))

        def check(self, match, a, b):
            seen.append((a, b.name))
            return "only looking"

        def rewrite(self, match):
            raise AssertionError

    rewrite_model(model, [Either])
    assert seen[1:] == [(None, "x")]


def test_a_parameter_that_the_pattern_does_not_name_is_an_error():
    with pytest.raises(DeclarationError, match="PK420 Wrong: rewrite.. has the parameter 'z'") as e:

        class Wrong(Rewrite):
            """Relu(x) -> Relu(x)."""

            def pattern(self, op, x):
                return op.Relu(x)

            def rewrite(self, match, z):
                return []

    assert "expected names of the pattern: facts, x" in e.value.message


def test_a_subclass_traces_the_pattern_with_its_own_methods():
    class Base(Rewrite, abstract=True):
        def pattern(self, op, x):
            return self.inner(op, op.Relu(x))

        def rewrite(self, match, x):
            return Replacement(match).end("Identity", x)

    class OfNeg(Base):
        """Neg(Relu(x)) -> x."""

        def inner(self, op, x):
            return op.Neg(x)

    assert repr(OfNeg.op) == "Op('Neg', Op('Relu', 'x'))"
    assert OfNeg.rewrite_parameters == ("x",)


def test_the_model_that_is_given_is_left_alone():
    model = clipped(["x"])
    before = onnx.ModelProto.FromString(model.SerializeToString())
    rewrite_model(model, [FuseClipped])
    assert model == before
