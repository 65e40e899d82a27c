"""What an If appends to a sequence is computed in front of it."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.hoist_appends import HoistAppends
from pluginkit.graph_rewrites.scan_sequences import ScanSequences
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run
from tests.graph_rewrites.test_fold_known import model_of, op_types

X = np.random.default_rng(5).uniform(-1, 1, (12, 3)).astype(np.float32)
LOOP = """ g (float[N, 3] x) => (float[M, 3] y)
<int64 nought = {0}, bool go = {1}, float zero = {0}, int64[1] axis = {0}, int64 two = {2},
 int64[1] three = {3}, int64[1] sizes = {6}>
{
    s = Shape(x)
    n = Gather(s, nought)
    start = SequenceEmpty<dtype=1>()
    rows = Loop (n, go, start) <
        body = b (int64 i, bool c, seq(float[3]) r) => (bool d, seq(float[3]) e)
        {
            d = Identity(c) row = Gather(x, i)
            sum = ReduceSum<keepdims=0>(row) is_positive = Greater(sum, zero)
            later = Add(i, two) ends_early = Less(later, n) ends_late = Not(ends_early)
            e = BRANCHES
        }>
    y = ConcatFromSequence<axis=0, new_axis=1>(rows)
}"""


def choice(condition, then, otherwise, number=0):
    """An If that gives a sequence; its values have names with a number."""
    return (
        f"If ({condition}) <then_branch = t{number} () => (seq(float[3]) h{number}) {{ {then} }},"
        f" else_branch = o{number} () => (seq(float[3]) m{number}) {{ {otherwise} }}>"
    )


def looped(branches):
    return model_of(LOOP.replace("BRANCHES", branches))


APPEND, KEEP = "{} = SequenceInsert(r, made)", "{} = Identity(r)"
MAKE = "half = Div(i, two) at = Cast<to = 1>(half) twice = Add(row, at) made = Tanh(twice)"
INNER = "first = Gather(row, nought) is_first = Greater(first, zero) "
MODELS = {
    "with an index in range": choice(
        "is_positive", f"made = Gather(x, i) {APPEND.format('h0')}", KEEP.format("m0")
    ),
    "with an index out of range": choice(
        "ends_early",
        f"at = Add(i, two) made = Gather(x, at) {APPEND.format('h0')}",
        KEEP.format("m0"),
    ),
    "with an index out of range in the other branch": choice(
        "ends_late",
        KEEP.format("h0"),
        f"made = Gather(x, later) {APPEND.format('m0')}",
    ),
    "made in a branch": choice("is_positive", f"{MAKE} {APPEND.format('h0')}", KEEP.format("m0")),
    "made in the other branch": choice(
        "is_positive", KEEP.format("h0"), f"{MAKE} {APPEND.format('m0')}"
    ),
    "under two conditions": choice(
        "is_positive",
        INNER + "h0 = " + choice("is_first", f"{MAKE} {APPEND.format('h1')}", KEEP.format("m1"), 1),
        KEEP.format("m0"),
    ),
    "under two false conditions": choice(
        "is_positive",
        KEEP.format("h0"),
        INNER + "m0 = " + choice("is_first", KEEP.format("h1"), f"{MAKE} {APPEND.format('m1')}", 1),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_loop_needs_no_sequence(name):
    model = looped(MODELS[name])
    result = rewrite_model(model, [HoistAppends, ScanSequences])
    assert not any("Sequence" in each or each == "If" for each in op_types(result.model))
    onnx.checker.check_model(result.model, full_check=True)
    (expected,), (got,) = run(model, {"x": X}), run(result.model, {"x": X})
    assert 0 < len(expected) < len(X)
    np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, [HoistAppends, ScanSequences]).applied == []


@pytest.mark.parametrize(
    "branches",
    [
        choice(
            "is_positive",
            f"end = Add(i, two) at = Unsqueeze(i, axis) to = Unsqueeze(end, axis) "
            f"two_rows = Slice(x, at, to) six = Reshape(two_rows, sizes) "
            f"made = Slice(six, axis, three) {APPEND.format('h0')}",
            KEEP.format("m0"),
        ),
        choice(
            "is_positive",
            f"q = Div(n, i) f = Cast<to = 1>(q) made = Mul(row, f) {APPEND.format('h0')}",
            KEEP.format("m0"),
        ),
        choice("is_positive", f"{MAKE} {APPEND.format('h0')}", "m0 = SequenceInsert(r, row)"),
        choice("is_positive", "h0 = SequenceInsert(r, row)", KEEP.format("m0")),
    ],
    ids=[
        *("a shape that may not fit", "a divisor that may be zero"),
        *("no branch keeps it", "there already"),
    ],
)
def test_other_branches_are_left(branches):
    model = looped(branches)
    result = rewrite_model(model, [HoistAppends])
    assert result.applied == []
    assert result.model == model
