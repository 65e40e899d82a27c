"""Values that follow from constants and from known sizes are stored; all others are left."""

import numpy as np
import onnx
import pytest
from onnx import parser

from pluginkit.graph_rewrites.fold_known import FoldKnown
from pluginkit.onnx.model.graphs import scopes
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run


def model_of(text, *functions, opset=18, ir_version=9):
    heads = f'<ir_version: {ir_version}, opset_import: ["" : {opset}, "local" : 1]>'
    parts = [heads + text, *functions]
    return parser.parse_model("\n".join(parts))


def op_types(model):
    return [node.op_type for scope in scopes(model) for node in scope.graph.node]


def folded(model):
    """Apply the rewrite twice; the second time must change nothing."""
    result = rewrite_model(model, [FoldKnown])
    assert {each.rewrite for each in result.applied} == {"FoldKnown"}
    onnx.checker.check_model(result.model, full_check=True)
    again = rewrite_model(result.model, [FoldKnown])
    assert again.applied == []
    assert again.model == result.model
    return result.model


HEADS = """ g (float[2, 6, N] x) => (float[2, 3, 2, N] y)
<int64[1] two = {2}, int64 one = {1}, int64[1] minus = {-1}, int64[1] zero = {0}>
{
    s = Shape(x)
    c = Gather(s, one)
    c1 = Unsqueeze(c, zero)
    half = Div(c1, two)
    b = Shape<end=1>(x)
    t = Concat<axis=0>(b, half, two, minus)
    y = Reshape(x, t)
}"""


def test_the_sizes_of_a_reshape_are_stored():
    model = model_of(HEADS)
    result = folded(model)
    assert op_types(result) == ["Constant", "Reshape"]
    x = np.random.default_rng(0).random((2, 6, 5), np.float32)
    np.testing.assert_array_equal(run(result, {"x": x})[0], run(model, {"x": x})[0])


def test_a_size_that_is_not_known_is_not_stored():
    """Shape(x)[2] is N: what follows from it stays as it is, with what else it reads."""
    model = model_of(
        """ g (float[2, 6, N] x) => (float[M] y)
        <int64 two = {2}, int64[1] minus = {-1}, int64[1] zero = {0}>
        { s = Shape(x) n = Gather(s, two) n1 = Unsqueeze(n, zero) e = Expand(minus, n1)
          y = Cast<to=1>(e) }"""
    )
    result = rewrite_model(model, [FoldKnown])
    assert result.applied == []
    assert result.model == model


def test_what_the_model_declares_of_a_computed_value_is_not_believed():
    """TensorRT computes the shape anew: a stale size must not be stored."""
    model = model_of(
        """ g (float[N] x) => (int64[1] y)
        <float[3] z> { i = Unique(x) z = Identity(i) y = Shape(z) }"""
    )
    assert [each.name for each in model.graph.value_info] == ["z"]
    assert rewrite_model(model, [FoldKnown]).applied == []


def test_a_default_of_an_input_is_no_constant():
    model = model_of(
        """ g (float[4] x, int64[1] d) => (float[K] y)
        <int64[1] d = {2}, int64[1] zero = {0}> { e = Add(d, d) y = Slice(x, zero, e) }"""
    )
    assert rewrite_model(model, [FoldKnown]).applied == []
    model.ir_version = 3  # all that is stored had to be an input, and no input may differ
    del model.graph.input[1]
    assert len(rewrite_model(model, [FoldKnown]).applied) == 1


def test_large_values_and_weights_are_left():
    model = model_of(
        """ g (float[300] x) => (float[300] y)
        { s = Shape(x) z = ConstantOfShape(s) y = Add(x, z) }"""
    )
    assert op_types(folded(model)) == ["Constant", "ConstantOfShape", "Add"]


@pytest.mark.parametrize(
    ("values", "op_type"), [("{7}, {2}", "Constant"), ("{-7}, {2}", "Div"), ("{7}, {0}", "Div")]
)
def test_a_division_is_left_where_the_evaluator_rounds_otherwise_or_fails(values, op_type):
    one, other = values.split(", ")
    model = model_of(
        f""" g (int64[1] x) => (int64[1] y)
        <int64[1] a = {one}, int64[1] b = {other}> {{ q = Div(a, b) y = Add(x, q) }}"""
    )
    assert op_types(rewrite_model(model, [FoldKnown]).model)[0] == op_type


def test_an_output_keeps_its_name_and_what_only_known_nodes_read_is_removed():
    model = model_of(
        """ g (float[3, 4] x) => (int64[2] s, float[3, 4] y)
        { r = Relu(x) s = Shape(r) e = Expand(x, s) y = Neg(x) }"""
    )
    result = folded(model)
    assert op_types(result) == ["Constant", "Expand", "Neg"]
    assert list(result.graph.node[0].output) == ["s"]
    x = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(run(result, {"x": x})[0], [3, 4])


def test_places_of_a_known_mask_need_no_plugin():
    """PyTorch writes arange(n) as NonZero(ConstantOfShape(n))."""
    model = model_of(
        """ g (float[5, N] x) => (float[5, N] y)
        <int64[1] five = {5}, int64[1] zero = {0}>
        { o = ConstantOfShape<value = int64[1] {1}>(five) z = NonZero(o) i = Squeeze(z, zero)
          y = Gather(x, i) }"""
    )
    assert op_types(rewrite_model(model, find_rewrites()).model) == ["Constant", "Gather"]


def test_bodies_and_local_functions():
    """A body reads what is known outside; a function has no types, and stores what it can."""
    model = model_of(
        """ g (float[3] x, bool c) => (float[4] y)
        <int64 three = {3}, int64[1] zero = {0}>
        {
            n = Add(three, three)
            t = local.Twice(x)
            y = If (c) <
                then_branch = a () => (float[4] u)
                    { m = Sub(n, three) m1 = Unsqueeze(m, zero) one = Div(m1, m1)
                      pads = Concat<axis=0>(zero, one) u = Pad(t, pads) },
                else_branch = b () => (float[4] v)
                    { four = Constant<value_ints=[4]>() v = ConstantOfShape(four) }
            >
        }""",
        """<domain: "local", opset_import: ["" : 18]> Twice (a) => (b)
        { o = Constant<value_float=1.0>() two = Add(o, o) b = Mul(a, two) }""",
    )
    result = folded(model)
    found = op_types(result)
    assert not {"Add", "Sub", "Div", "Unsqueeze", "ConstantOfShape"} & set(found), found
    x = np.arange(3, dtype=np.float32)
    for c in (True, False):
        feeds = {"x": x, "c": np.array(c)}
        np.testing.assert_array_equal(run(result, feeds)[0], run(model, feeds)[0])


@pytest.mark.parametrize("opset", [7, 8, 9])
def test_old_constants_hold_floating_point_numbers_only(opset):
    """Integers become initializers, and those that are outputs stay."""
    model = onnx.parser.parse_model(f"""
        <ir_version: 3, opset_import: ["" : {opset}]>
        g (float[2, 3, 4] x) => (float[6, 4] y, int64[3] s) {{
            s = Shape(x)
            rows = Slice<axes = [0], starts = [0], ends = [2]>(s)
            row = Slice<axes = [0], starts = [2], ends = [3]>(s)
            all = ReduceProd<axes = [0], keepdims = 1>(rows)
            t = Concat<axis = 0>(all, row)
            y = Reshape(x, t) }}""")
    new = rewrite_model(model, [FoldKnown]).model
    onnx.checker.check_model(new, full_check=True)
    assert op_types(new)[-1] == "Reshape"
    assert not {"Slice", "Concat", "ReduceProd"} & set(op_types(new))
    assert rewrite_model(new, [FoldKnown]).applied == []
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for got, expected in zip(run(new, {"x": x}), run(model, {"x": x}), strict=True):
        np.testing.assert_array_equal(got, expected)
