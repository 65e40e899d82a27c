"""A sequence that grows in a loop becomes an output that the loop collects."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.drop_split_sequence import GatherSplitElement
from pluginkit.graph_rewrites.scan_sequences import ScanSequences
from pluginkit.graph_rewrites.unpack_sequences import UnpackSequences
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run
from tests.graph_rewrites.test_fold_known import model_of, op_types

X = np.random.default_rng(0).random((5, 2, 3), np.float32)

LOOP = """ g (float[N, 2, 3] x) => (float[A, B, C] y)
<int64 zero = {0}, bool go = {1}>
{
    s = Shape(x)
    n = Gather(s, zero)
    start = SequenceEmpty<dtype=1>()
    rows = Loop (n, go, start) <
        body = b (int64 i, bool c, seq(float[M, 3]) r) => (bool d, seq(float[M, 3]) e)
        { d = Identity(c) row = Gather(x, i) t = Tanh(row) e = SequenceInsert(INSERTED) }>
    y = ConcatFromSequence<axis=AXIS, new_axis=NEW>(rows)
}"""


def loop(axis=0, new=0, inserted="r, t"):
    text = LOOP.replace("AXIS", str(axis)).replace("NEW", str(new))
    text = text.replace("float[A, B, C]", "float[A, B, C]" if new else "float[A, B]")
    return model_of(text.replace("INSERTED", inserted))


@pytest.mark.parametrize(("axis", "new"), [(0, 0), (1, 0), (-1, 0), (0, 1), (1, 1), (-1, 1)])
def test_a_list_that_grows(axis, new):
    model = loop(axis, new)
    result = rewrite_model(model, [ScanSequences])
    assert [each.rewrite for each in result.applied] == ["ScanSequences"] * 2
    onnx.checker.check_model(result.model, full_check=True)
    assert not any("Sequence" in each for each in op_types(result.model))
    np.testing.assert_array_equal(run(result.model, {"x": X})[0], run(model, {"x": X})[0])
    again = rewrite_model(result.model, [ScanSequences])
    assert again.applied == []
    assert again.model == result.model


def test_a_tensor_that_goes_first_is_left():
    model = loop(inserted="r, t, zero")
    result = rewrite_model(model, [ScanSequences])
    assert result.applied == []
    assert result.model == model


def test_tensors_of_sizes_that_differ_are_left():
    """Slices that grow: what a loop collects must have one shape."""
    model = model_of(
        LOOP.replace("AXIS", "0").replace("NEW", "0").replace("float[A, B, C]", "float[A, B, C]")
        .replace("row = Gather(x, i) t = Tanh(row)",
                 "k = Unsqueeze(i, first) t = Slice(x, first, k)")
        .replace("int64 zero = {0}", "int64 zero = {0}, int64[1] first = {0}")
        .replace("INSERTED", "r, t")
    )  # fmt: skip
    assert rewrite_model(model, [ScanSequences]).applied == []


CHOOSING = """ g (float[N, 2, 3] x) => (float[A, B, C] y, float last)
<int64 zero = {0}, bool go = {1}, float half = {0.5}>
{
    s = Shape(x)
    n = Gather(s, zero)
    start = SequenceEmpty<dtype=1>()
    last, rows = Loop (n, go, half, start) <
        body = b (int64 i, bool c, float before, seq(float[2, 3]) r)
            => (bool d, float after, seq(float[2, 3]) e)
        {
            d = Identity(c) row = Gather(x, i)
            largest = ReduceMax<keepdims=0>(row)
            is_large = Greater(largest, half)
            after, e = If (is_large) <
                then_branch = t () => (float f, seq(float[2, 3]) h)
                { f = Identity(largest) THEN },
                else_branch = o () => (float k, seq(float[2, 3]) m)
                { k = Identity(before) ELSE }>
        }>
    y = ConcatFromSequence<axis=AXIS, new_axis=NEW>(rows)
}"""
APPEND, KEEP = "SequenceInsert(r, row)", "Identity(r)"


def choosing(axis=0, new=1, then=APPEND, otherwise=KEEP, before=""):
    given = {"AXIS": axis, "NEW": new, "THEN": f"{before} h = {then}", "ELSE": f"m = {otherwise}"}
    text = CHOOSING
    for name, value in given.items():
        text = text.replace(name, str(value))
    return model_of(text if new else text.replace("[A, B, C]", "[A, B]"))


def counting_in_the_branch(sequence):
    counted = f"n0 = SequenceLength({sequence}) f = Cast<to = 1>(n0)"
    text = CHOOSING.replace("f = Identity(largest) THEN", f"h = {APPEND} {counted}")
    text = text.replace("ELSE", f"m = {KEEP}").replace("AXIS", "0").replace("NEW", "1")
    return model_of(text)


@pytest.mark.parametrize("branches", [(APPEND, KEEP), (KEEP, APPEND)])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_list_that_grows_now_and_then(axis, branches):
    model = choosing(axis, 1, *branches)
    x = X - np.arange(5, dtype=np.float32).reshape(5, 1, 1) % 2 / 2
    result = rewrite_model(model, [ScanSequences])
    assert not any("Sequence" in each for each in op_types(result.model))
    onnx.checker.check_model(result.model, full_check=True)
    for after, before in zip(run(result.model, {"x": x}), run(model, {"x": x}), strict=True):
        np.testing.assert_array_equal(after, before)
    assert 0 < len(run(model, {"x": x})[0]) <= 5
    assert rewrite_model(result.model, [ScanSequences]).applied == []


@pytest.mark.parametrize(
    "model",
    [
        choosing(new=0),
        choosing(then="SequenceInsert(r, made)", before="made = Neg(row)"),
        choosing(otherwise="SequenceInsert(r, row)"),
        counting_in_the_branch("r"),
        counting_in_the_branch("h"),
    ],
    ids=[
        *("joined along their own axis", "made in the branch", "appended either way"),
        *("read before it grows, too", "read after it grew, too"),
    ],
)
def test_other_choices_are_left(model):
    result = rewrite_model(model, [ScanSequences])
    assert result.applied == []
    assert result.model == model


#: A loop reads the list of another from its end, and appends to one that has two tensors.
TAKEN = """ g (float[N, 2, 3] x) => (float[A, 2, 3] y, float[2, 3] last, int64 count)
<int64 zero = {0}, int64 end = {-1}, bool go = {1}>
{
    s = Shape(x) n = Gather(s, zero) front = Gather(x, zero) start = START
    every = Loop (n, go, start) <
        body = b (int64 i, bool c, seq(float[2, 3]) r) => (bool d, seq(float[2, 3]) e)
        { d = Identity(c) row = Gather(x, i) t = Tanh(row) e = SequenceInsert(r, t) }>
    last = SequenceAt(every, end) count = SequenceLength(every)
    second = SequenceConstruct(front, last)
    turned = Loop (n, go, second) <
        body = b2 (int64 j, bool f, seq(float[2, 3]) q) => (bool g2, seq(float[2, 3]) h)
        { g2 = Identity(f) at = Sub(end, j) p = SequenceAt(every, at) h = SequenceInsert(q, p) }>
    y = ConcatFromSequence<axis = 0, new_axis = 1>(turned)
}"""
TAKING = [ScanSequences, GatherSplitElement, UnpackSequences]


@pytest.mark.parametrize("start", ["SequenceEmpty<dtype = 1>()", "SequenceConstruct(front, front)"])
def test_single_tensors_of_a_list_are_taken(start):
    model = model_of(TAKEN.replace("START", start))
    result = rewrite_model(model, TAKING)
    assert not any("Sequence" in each for each in op_types(result.model))
    for x in (X, X[:1]):
        for got, expected in zip(run(result.model, {"x": x}), run(model, {"x": x}), strict=True):
            np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, TAKING).applied == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("t = Tanh(row)", "k = Unsqueeze(i, first) t = Slice(row, first, k)"),  # of varying sizes
        ("count = SequenceLength(every)", "o = SequenceErase(every) count = SequenceLength(o)"),
    ],
)
def test_other_readers_of_a_list_keep_it(old, new):
    text = TAKEN.replace("START", "SequenceEmpty<dtype = 1>()").replace(old, new)
    stored = "int64 zero = {0}, int64[1] first = {0}"
    model = model_of(text.replace("int64 zero = {0}", stored).replace("float[2, 3]", "float[K, L]"))
    assert "SequenceInsert" in op_types(rewrite_model(model, [ScanSequences]).model)


def test_a_list_that_begins_with_tensors_is_joined_along_a_new_axis_only():
    text = TAKEN.replace("START", "SequenceEmpty<dtype = 1>()")
    text = text.replace("axis = 0, new_axis = 1>(turned)", "axis = 0>(turned)")
    model = model_of(text.replace("float[A, 2, 3] y", "float[A, 3] y"))
    assert "SequenceInsert" in op_types(rewrite_model(model, TAKING).model)
