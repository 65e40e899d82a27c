"""An If whose condition is known becomes the branch that it takes; any other is left."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.take_known_branch import TakeKnownBranch
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run
from tests.graph_rewrites.test_fold_known import model_of, op_types

X = np.random.default_rng(0).random((4, 1, 3), np.float32)

#: What torch.jit.script writes for x.squeeze(1), and for ``if x.size(0) == 1``.
SQUEEZE = """ g (float[N, 1, 3] x) => (float[N, 3] y)
<int64 at = {AT}, int64 one = {1}>
{
    s = Shape(x)
    n = Gather(s, at)
    c = Equal(n, one)
    y = If (c) <
        then_branch = t () => (u) { axis = Constant<value_ints=[1]>() u = Squeeze(x, axis) },
        else_branch = e () => (v) { v = Identity(x) }
    >
}"""
SIZES = """ g (float[N, 3] x, float[M, 3] z) => (float[K, 3] y)
<int64 zero = {0}, int64[1] zeros = {0}, int64 limit = {8}>
{
    s = Shape(x)
    n = Gather(s, zero)
    r = Shape(z)
    m = Gather(r, zero)
    c = CONDITION
    y = If (c) <
        then_branch = t () => (float[K, 3] u) { u = Relu(x) },
        else_branch = e () => (float[K, 3] v) { v = Neg(z) }
    >
}"""


def rows(**sizes):
    """Return the ranges of inputs with three columns, from the ranges of their rows."""
    return {name: ",".join(f"{size}x3" for size in each.split(",")) for name, each in sizes.items()}


def taken(model, **options):
    """Apply the rewrite twice; the second time must change nothing."""
    result = rewrite_model(model, [TakeKnownBranch], **options)
    assert {each.rewrite for each in result.applied} == {"TakeKnownBranch"}
    onnx.checker.check_model(result.model, full_check=True)
    again = rewrite_model(result.model, [TakeKnownBranch], **options)
    assert again.applied == []
    assert again.model == result.model
    return result.model


@pytest.mark.parametrize("at", ["1", "-2"])
def test_a_squeeze_of_a_known_axis(at):
    model = model_of(SQUEEZE.replace("AT", at))
    result = taken(model)
    assert op_types(result) == ["Constant", "Squeeze"]
    assert list(result.graph.node[-1].output) == ["y"]
    np.testing.assert_array_equal(run(result, {"x": X})[0], X[:, 0])


def test_a_condition_on_a_dynamic_size_is_left():
    model = model_of(SQUEEZE.replace("AT", "0"))
    for shapes in ({}, {"x": "1x1x3,2x1x3,8x1x3"}):
        result = rewrite_model(model, [TakeKnownBranch], shapes=shapes)
        assert result.applied == []
        assert result.model == model


@pytest.mark.parametrize(
    ("condition", "sizes", "op_type"),
    [
        ("Equal(n, limit)", {"x": "1,1,7"}, "Neg"),
        ("Equal(n, limit)", {"x": "8,8,8"}, "Relu"),
        ("Equal(n, limit)", {"x": "1,1,8"}, "If"),
        ("Greater(n, limit)", {"x": "9,9,20"}, "Relu"),
        ("Greater(n, limit)", {"x": "8,8,20"}, "If"),
        ("Less(n, m)", {"x": "1,1,4", "z": "5,5,9"}, "Relu"),
        ("GreaterOrEqual(n, m)", {"x": "9,9,9", "z": "5,5,9"}, "Relu"),
        ("LessOrEqual(n, m)", {"x": "1,1,4", "z": "4,4,9"}, "Relu"),
        ("LessOrEqual(n, m)", {"x": "1,1,5", "z": "4,4,9"}, "If"),
        ("Equal(n, m)", {"x": "1,1,4", "z": "5,5,9"}, "Neg"),
        ("GreaterOrEqual(n, zero)", {}, "Relu"),
    ],
)
def test_what_holds_for_all_sizes_is_known(condition, sizes, op_type):
    model = model_of(SIZES.replace("CONDITION", condition))
    found = op_types(rewrite_model(model, [TakeKnownBranch], shapes=rows(**sizes)).model)
    assert op_type in found
    assert (op_type == "If") == ("If" in found)


def test_arithmetic_of_sizes():
    """(N * 2 - M) + 1 > 8 holds if N is 9 or more, and M 9 or less."""
    condition = """Greater(total, limit)"""
    steps = """two = Constant<value_int=2>() one = Constant<value_int=1>()
    d = Mul(n, two) e = Sub(d, m) total = Add(e, one)
    c = """
    model = model_of(SIZES.replace("c = CONDITION", steps + condition))
    assert op_types(taken(model, shapes=rows(x="9,9,20", z="1,1,9"))) == ["Relu"]
    shapes = rows(x="9,9,20", z="1,1,11")
    assert rewrite_model(model, [TakeKnownBranch], shapes=shapes).applied == []


def test_a_product_of_what_may_be_negative_is_unknown():
    """(N - 8)^2 > 8 holds at both ends of N, and not between them."""
    condition = "e = Sub(n, limit) total = Mul(e, e) c = Greater(total, limit)"
    model = model_of(SIZES.replace("c = CONDITION", condition))
    assert rewrite_model(model, [TakeKnownBranch], shapes=rows(x="1,1,30")).applied == []


#: What is left of x after a convolution is squeezed if that is one element.
CONVOLVED = """ g (float[1, 1, T] x, bool c) => (float y)
<float[1, 1, 4] w = {1, 2, 3, 4}, int64 at = {2}, int64 one = {1}>
{
    v = Conv <strides = [4]> (x, w)
    s = Shape(v)
    n = Gather(s, at)
    is_one = Equal(n, one)
    p = If (is_one) <
        then_branch = t () => (u) { axis = Constant<value_ints=[2]>() u = Squeeze(v, axis) },
        else_branch = e () => (k) { k = Relu(v) }
    >
    y = ReduceSum <keepdims = 0> (p)
}"""


@pytest.mark.parametrize(("size", "op_type"), [(4, "Squeeze"), (8, "Relu")])
def test_the_one_size_that_is_given_is_followed_through_nodes(size, op_type):
    model = model_of(CONVOLVED)
    result = taken(model, shapes={"x": f"1x1x{size}"})
    assert op_types(result)[-2] == op_type
    x = X.reshape(1, 1, -1)[..., :size]
    expected, found = (run(each, {"x": x, "c": np.array(True)})[0] for each in (model, result))
    np.testing.assert_array_equal(found, expected)
    assert rewrite_model(model, [TakeKnownBranch], shapes={"x": "1x1x4,1x1x4,1x1x8"}).applied == []


def test_a_branch_that_does_not_fit_the_one_size_that_is_given_is_not_refused():
    """With T = 8 the inner If hands three dimensions to a Gemm, which takes two."""
    head, body = CONVOLVED.split("{\n    v", 1)
    body = body.rsplit("y =", 1)[0] + "r = Gemm(p, p) q = ReduceSum <keepdims = 0> (r)"
    outer = f"""{head}{{
        y = If (c) <
            then_branch = a () => (q) {{ v{body} }},
            else_branch = b () => (o) {{ o = ReduceSum <keepdims = 0> (x) }}
        >
    }}"""
    result = rewrite_model(model_of(outer), [TakeKnownBranch], shapes={"x": "1x1x8"})
    assert [each.made for each in result.applied] == [("Relu",)]


def test_branches_in_branches_and_in_a_local_function():
    """Initializers of a branch become a function's Constants; names stay apart."""
    model = model_of(
        """ g (float[3] x, bool c) => (float[3] y, float[3] z)
        {
            z = local.F(x)
            y = If (c) <
                then_branch = t () => (float[3] u)
                    { k = Constant<value = bool {1}>()
                      u = If (k) <
                        then_branch = a () => (float[3] p) <float two = {2}> { p = Mul(x, two) },
                        else_branch = b () => (float[3] q) { q = Neg(x) } > },
                else_branch = e () => (float[3] v) { v = Abs(x) }
            >
        }""",
        """<domain: "local", opset_import: ["" : 18]> F (a) => (b)
        { k = Constant<value = bool {0}>()
          b = If (k) <
            then_branch = t () => (float[3] u) { u = Neg(a) },
            else_branch = e () => (float[3] v) <float three = {3}> { w = Add(a, three)
                                                                   v = Mul(w, three) } > }""",
    )
    result = taken(model)
    assert op_types(result).count("If") == 1
    x = np.arange(3, dtype=np.float32) - 1
    for c in (True, False):
        feeds = {"x": x, "c": np.array(c)}
        for before, after in zip(run(model, feeds), run(result, feeds), strict=True):
            np.testing.assert_array_equal(after, before)


def test_outputs_that_are_one_value_or_an_outer_one():
    model = model_of(
        """ g (float[3] x) => (float[3] y, float[3] z)
        <bool c = {1}>
        {
            r = Relu(x)
            y, z = If (c) <
                then_branch = t () => (float[3] u, float[3] w) { u = Neg(r) w = Identity(u) },
                else_branch = e () => (float[3] v, float[3] o) { v = Abs(x) o = Abs(r) }
            >
        }"""
    )
    branch = model.graph.node[1].attribute[0].g
    del branch.node[1:]
    branch.output[1].name = "u"  # one value twice
    result = taken(model)
    assert op_types(result) == ["Relu", "Neg", "Identity"]
    for got in run(result, {"x": X[0, 0]}):
        np.testing.assert_array_equal(got, -X[0, 0])
