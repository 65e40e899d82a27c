"""An If in a branch of another is moved in front of that."""

import numpy as np
import onnx
import pytest

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.lift_inner_if import LiftInnerIf
from pluginkit.onnx.model.graphs import scopes
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run
from tests.graph_rewrites.samples import normal
from tests.graph_rewrites.test_fold_known import model_of

SIZES = "float[n, m]"
#: x[at]; the second Gather refuses a row that x does not have.
ROW = "Gather(x, at)"
X = normal(4, 6)


def nested(inner="Neg(x)", other="Exp(x)", sizes=SIZES, is_in_else=False, condition="a"):
    branch = f"""b1 () => ({sizes} p) {{
        top = ReduceMax<keepdims = 0>(x) b = Greater(top, limit)
        p = If(b) <then_branch = i1 () => ({sizes} u) {{ u = {inner} }},
                   else_branch = i2 () => ({sizes} v) {{ v = {other} }}> }}"""
    plain = f"b2 () => ({sizes} q) {{ q = Abs(x) }}"
    then, other = (plain, branch) if is_in_else else (branch, plain)
    return model_of(f"""g ({sizes} x, bool a, float limit, int64[n] at) => ({sizes} y) {{
        rank = Size(at) is_long = Cast<to = 9>(rank)
        y = If({condition}) <then_branch = {then}, else_branch = {other}> }}""")


def depth(model):
    """Return how many Ifs the innermost graph is in."""
    return max(scope.path.count("If") for scope in scopes(model))


@pytest.mark.parametrize("is_in_else", [False, True])
@pytest.mark.parametrize(
    ("inner", "other"),
    [("Neg(x)", "Exp(x)"), (ROW, "Exp(x)"), ("Neg(x)", ROW), ("Clip(x)", "Softplus(x)")],
)
def test_it_runs_where_it_ran(inner, other, is_in_else):
    model = nested(inner, other, is_in_else=is_in_else)
    result = rewrite_model(model, [LiftInnerIf])
    assert (depth(model), depth(result.model)) == (2, 1)
    for a in (False, True):
        for limit in (-9, 9):
            # Rows that x does not have, where the branch that reads them must not run.
            reads = a != is_in_else and (inner if limit < 0 else other) == ROW
            at = np.arange(4)[::-1] if reads else np.full(4, 99)
            given = {"x": X, "a": np.array(a), "limit": np.float32(limit), "at": at}
            (got,), (expected,) = run(result.model, given), run(model, given)
            np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, [LiftInnerIf]).applied == []


@pytest.mark.parametrize(
    "model",
    [
        nested(ROW, ROW),
        nested(sizes="float[4, 6]"),
        nested("Clip(x)", "Clip(x)", condition="is_long"),
    ],
    ids=["neither branch may run", "known sizes", "a size is the condition"],
)
def test_others_are_left(model):
    assert rewrite_model(model, [LiftInnerIf]).applied == []


CHAIN = """g (float[n, m] x, bool a, bool b, bool c) => (float[n, m] y) {
    y = If(a) <then_branch = b1 () => (float[n, m] p) { p = Neg(x) },
               else_branch = b2 () => (float[n, m] q) { z = Exp(x) q = If(b) <
        then_branch = b3 () => (float[n, m] r) { r = Tanh(z) },
        else_branch = b4 () => (float[n, m] s) { s = If(c) <
            then_branch = b5 () => (float[n, m] t) { t = Sqrt(z) },
            else_branch = b6 () => (float[n, m] u) { u = Sign(x) }> }> }> }"""


@pytest.mark.parametrize("conditions", list(np.ndindex(2, 2, 2)))
def test_a_chain_of_conditions(conditions):
    model = model_of(CHAIN)
    result = rewrite_model(model, [LiftInnerIf])
    assert depth(result.model) == 1
    given = {"x": X} | {k: np.array(bool(v)) for k, v in zip("abc", conditions, strict=True)}
    (got,), (expected,) = run(result.model, given), run(model, given)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.trt
def test_tensorrt_builds_a_chain(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(CHAIN), path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    build = build_engine(path, options=options, shapes={"x": "1x2,4x6,7x8"})
    assert "LiftInnerIf" in {each.rewrite for each in build.rewrite.applied}
