"""Loops that append a row several times, or its start, become a Gather."""

import numpy as np
import pytest

from pluginkit.graph_rewrites.drop_split_sequence import DropSplitSequence, GatherSplitElement
from pluginkit.graph_rewrites.expand_ragged_loop import ExpandRaggedLoop, ExpandRaggedSequence
from pluginkit.graph_rewrites.fold_known import FoldKnown
from pluginkit.graph_rewrites.gather_slices import MaskSlices
from pluginkit.graph_rewrites.scan_sequences import ScanSequences
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run
from tests.graph_rewrites.test_fold_known import model_of, op_types

#: Appends to a tensor, of which the first size is 0.
TENSOR = """ g (float[N, 3] x, int64[N] n, int64 runs) => (float[A, B] y)
<bool go = {1}, int64[1] first = {0}, int64[1] next = {1}, int64[1] three = {3},
 int64[1] other = {2}, float[0, 3] start = {}>
{ y = Loop (runs, go, start) <
    body = b (int64 i, bool c, float[M, 3] r) => (bool d, float[K, 3] e)
    { d = Identity(c) PIECE e = Concat<axis = 0>(r, p) }> }"""
#: Appends to a sequence, of rows of two sequences.
SEQUENCE = """ g (float[N, 3] x, int64[N] n, int64 runs) => (float[A, B] y)
<bool go = {1}, int64[1] first = {0}, int64[1] next = {1}, int64[1] three = {3}, int64 one = {1}>
{ rows = SplitToSequence<axis = 0>(x, one) counts = SplitToSequence<axis = 0>(n, one)
  start = SequenceEmpty<dtype = 1>()
  all = Loop (runs, go, start) <
    body = b (int64 i, bool c, seq(float[M, 3]) r) => (bool d, seq(float[K, 3]) e)
    { d = Identity(c) part = SequenceAt(rows, i) number = SequenceAt(counts, i)
      sizes = Concat<axis = 0>(number, three) p = Expand(part, sizes) e = SequenceInsert(r, p) }>
  y = ConcatFromSequence<axis = 0>(all) }"""
REPEATED = """at = Unsqueeze(i, first) to = Add(at, next) part = Slice(x, at, to, first)
    number = Gather(n, at) sizes = Concat<axis = 0>(number, three) p = Expand(part, sizes)"""
START = REPEATED.partition("part")[0] + "row = Gather(x, i) number = Gather(n, at) "
START += "q = Slice(row, first, number, first) p = Unsqueeze(q, next)"
X = np.arange(12, dtype=np.float32).reshape(4, 3)
REWRITES = [ExpandRaggedLoop, ExpandRaggedSequence, DropSplitSequence]


def feeds(*counts, runs=4):
    return {"x": X, "n": np.array(counts), "runs": np.array(runs)}


def assert_same(model, given):
    result = rewrite_model(model, REWRITES)
    assert not {"Loop", "SplitToSequence"} & set(op_types(result.model))
    (got,), (expected,) = run(result.model, given), run(model, given)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, REWRITES).applied == []


@pytest.mark.parametrize("counts", [(2, 0, 1, 3), (0, 0, 0, 1), (1, 1, 1, 1)], ids=str)
@pytest.mark.parametrize(
    "text", [TENSOR.replace("PIECE", REPEATED), SEQUENCE], ids=["tensor", "list"]
)
def test_rows_are_repeated(text, counts):
    assert_same(model_of(text), feeds(*counts))


def test_rows_that_are_unbound_are_repeated():
    text = SEQUENCE.replace("axis = 0>(x", "axis = 0, keepdims = 0>(x")
    text = text.replace("Expand(part", "Expand(row").replace(
        "sizes =", "row = Unsqueeze(part, first) sizes ="
    )
    assert_same(
        model_of(text.replace("{1}, int64[1] first", "{1}, int64[1] first")), feeds(2, 0, 1, 3)
    )


def test_a_loop_may_end_before_the_rows_do():
    assert_same(model_of(TENSOR.replace("PIECE", REPEATED)), feeds(2, 3, 1, 1, runs=2))


@pytest.mark.parametrize("counts", [(2, 0, 1, 3), (3, 7, 1, 0)], ids=str)
def test_starts_of_rows_are_joined(counts):
    text = SEQUENCE.replace(
        "sizes = Concat<axis = 0>(number, three) p = Expand(part, sizes)",
        "row = Squeeze(part, first) p = Slice(row, first, number, first)",
    )
    text = text.replace("seq(float[M, 3])", "seq(float[M])").replace("float[A, B]", "float[A]")
    assert_same(model_of(text.replace("seq(float[K, 3])", "seq(float[K])")), feeds(*counts))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("PIECE", f"{REPEATED.replace('p =', 's =')} p = Neg(s)", "appends something else"),
        ("PIECE", REPEATED.replace("x, at, to, first", "x, first, next, first"), "something else"),
        ("float[0, 3] start = {}", "float[1, 3] start = {1, 2, 3}", "is empty at first"),
        ("d = Identity(c)", "d = Cast<to = 9>(i)", "condition"),
        ("Concat<axis = 0>(r, p)", "Concat<axis = 0>(p, r)", "does not only append"),
    ],
)
def test_other_loops_are_left(old, new, reason):
    model = model_of(TENSOR.replace(old, new).replace("PIECE", REPEATED))
    result = rewrite_model(model, REWRITES)
    assert result.applied == []
    assert reason in result.refused[0].reason


SPLIT = """ g (float[4, 3] x) => (float[A, 3] y) <int64[2] lengths = {1, 3}>
{ parts = SplitToSequence<axis = 0>(x, lengths) y = ConcatFromSequence<axis = AXIS>(parts) }"""


def test_a_tensor_that_is_split_and_joined_is_itself():
    model = model_of(SPLIT.replace("AXIS", "-2"))
    result = rewrite_model(model, REWRITES)
    assert op_types(result.model) == ["Identity"]
    np.testing.assert_array_equal(run(result.model, {"x": X})[0], X)


def test_one_that_is_unbound_and_stacked_is_itself():
    text = SPLIT.replace("AXIS", "0, new_axis = 1").replace(
        "axis = 0>(x", "axis = 0, keepdims = 0>(x"
    )
    model = model_of(text.replace("int64[2] lengths = {1, 3}", "int64 lengths = {1}"))
    result = rewrite_model(model, REWRITES)
    assert op_types(result.model) == ["Identity"]
    np.testing.assert_array_equal(run(model, {"x": X})[0], X)


@pytest.mark.parametrize("axis", ["1", "0, new_axis = 1"])
def test_one_that_is_joined_otherwise_is_left(axis):
    text = (
        SPLIT.replace("AXIS", axis)
        .replace("{1, 3}", "{2, 2}")
        .replace("float[A, 3]", "float[A, B]")
    )
    if "new" in axis:
        text = text.replace("float[A, B]", "float[A, B, C]")
    (refused,) = rewrite_model(model_of(text), REWRITES).refused
    assert refused.reason == "it does not join the tensor as it was split"


READ = """ g (float[N, 3] x, int64 at) => (float[A] y, float[A] z)
<int64 last = {-1}> { parts = SplitToSequence<axis = 0KEPT>(xLENGTHS)
  y = SequenceAt(parts, at) z = SequenceAt(parts, last) }"""


@pytest.mark.parametrize(
    ("kept", "lengths", "rank"),
    [
        (", keepdims = 0", "", 1),
        ("", "", 2),
        ("", ", one", 2),
        (", keepdims = 0", ", one", 1),  # as PyTorch's exporter writes unbind
        (", keepdims = 0", ", ones", 2),  # the axis stays with lengths of their own
    ],
)
def test_elements_of_a_batch_of_any_size_are_gathered(kept, lengths, rank):
    text = READ.replace("KEPT", kept).replace("LENGTHS", lengths)
    if rank == 2:
        text = text.replace("float[A]", "float[A, B]")
    model = model_of(
        text.replace("= {-1}", "= {-1}, int64 one = {1}, int64[4] ones = {1, 1, 1, 1}")
    )
    result = rewrite_model(model, [GatherSplitElement])
    assert not {"SequenceAt", "SplitToSequence"} & set(op_types(result.model))
    given = {"x": X, "at": np.array(2)}
    for got, expected in zip(run(result.model, given), run(model, given), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, [GatherSplitElement]).applied == []


PARTS = """ g (float[N, 3] x, int32 at) => (float[A, B] y, float[C, D] z, int64 count)
<int64 two = {2}, int32 last = {-1}> { parts = SplitToSequence<axis = -2>(x, two)
  y = SequenceAt(parts, at) z = SequenceAt(parts, last) count = SequenceLength(parts) }"""


@pytest.mark.parametrize("at", [0, 1, -2])
@pytest.mark.parametrize("rows", [3, 4])
def test_parts_of_a_tensor_of_any_size_are_slices(rows, at):
    model, given = model_of(PARTS), {"x": X[:rows], "at": np.array(at, np.int32)}
    result = rewrite_model(model, [GatherSplitElement])
    assert not {"SequenceAt", "SequenceLength", "SplitToSequence"} & set(op_types(result.model))
    for got, expected in zip(run(result.model, given), run(model, given), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, [GatherSplitElement]).applied == []


@pytest.mark.parametrize(
    ("stored", "given"),
    [("int64[2] two = {1, 3}", ""), ("", ", int64 two"), ("", ", int64[k] two")],
)
def test_parts_of_other_or_unknown_lengths_are_left(stored, given):
    text = PARTS.replace("int64 two = {2}, ", stored and f"{stored}, ")
    model = model_of(text.replace("int32 at)", f"int32 at{given})"))
    assert rewrite_model(model, [GatherSplitElement]).applied == []


SUMS_OF_PARTS = """ g (float[N, 3] x) => (float[K, 3] y)
<int64 two = {2}, bool go = {1}, int64[1] first = {0}> {
  parts = SplitToSequence<axis = 0>(x, two) count = SequenceLength(parts)
  y = Loop (count, go) <
    body = b (int64 i, bool c) => (bool d, float[3] e)
    { d = Identity(c) part = SequenceAt(parts, i) e = ReduceSum<keepdims = 0>(part, first) }> }"""


def test_a_loop_over_parts_reads_slices():
    model, rewrites = model_of(SUMS_OF_PARTS), [GatherSplitElement, MaskSlices]
    result = rewrite_model(model, rewrites)
    assert not {"SequenceAt", "SplitToSequence", "Slice"} & set(op_types(result.model))
    for rows in (X, X[:3], X[:1]):
        (got,), (expected,) = run(result.model, {"x": rows}), run(model, {"x": rows})
        np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, rewrites).applied == []


UNBOUND = """ g (float[N, M] x) => (float[M] y, int64[1] size)
<int64 one = {1}, int64 zero = {0}, bool go = {1}, int64[1] first = {0}> {
  parts = SplitToSequence<axis = 0, keepdims = 0>(x, one) count = SequenceLength(parts)
  start = ReduceSum<keepdims = 0>(x, first) row = SequenceAt(parts, zero) size = Shape(row)
  y = Loop (count, go, start) <
    body = b (int64 i, bool c, float[M] r) => (bool d, float[M] e)
    { d = Identity(c) part = SequenceAt(parts, i) e = Add(r, part) }> }"""


def test_a_loop_over_the_rows_of_a_batch_of_any_size_gathers_them():
    model = model_of(UNBOUND)
    result = rewrite_model(model, [GatherSplitElement])
    assert not {"SequenceAt", "SequenceLength", "SplitToSequence"} & set(op_types(result.model))
    for rows in (X, X[:1]):
        for got, expected in zip(
            run(result.model, {"x": rows}), run(model, {"x": rows}), strict=True
        ):
            np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, [GatherSplitElement]).applied == []


def test_a_loop_that_hides_the_tensor_is_left():
    text = UNBOUND.replace("float[M] r)", "float[M] x)").replace("Add(r, part)", "Add(x, part)")
    result = rewrite_model(model_of(text), [GatherSplitElement])
    assert "SplitToSequence" in op_types(result.model)


def test_the_size_of_an_unbound_row_is_known():
    model = model_of(UNBOUND.replace("float[N, M] x", "float[4, 3] x"))
    result = rewrite_model(model, [FoldKnown])
    for got, expected in zip(run(result.model, {"x": X}), run(model, {"x": X}), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_vector_of_lengths_overrides_keepdims():
    model = model_of(SPLIT.replace("axis = 0>(x", "axis = 0, keepdims = 0>(x").replace("AXIS", "0"))
    result = rewrite_model(model, REWRITES)
    np.testing.assert_array_equal(run(result.model, {"x": X})[0], run(model, {"x": X})[0])


def test_the_type_of_an_unbound_row_corrects_what_pytorch_declares():
    body = "body = b (int64 i, bool c, seq(float[A, B, C]) r) => (bool d, seq(float[A, B, C]) e)"
    model = model_of(
        f""" g (float[N, M] x) => (float[N, M] y) <int64 one = {{1}}, bool go = {{1}}> {{
        parts = SplitToSequence<axis = 0, keepdims = 0>(x, one) count = SequenceLength(parts)
        start = SequenceEmpty() all = Loop (count, go, start) < {body}
        <float[A, B, C] p> {{ d = Identity(c)
        part = SequenceAt(parts, i) p = Neg(part) e = SequenceInsert(r, p) }}>
        y = ConcatFromSequence<axis = 0, new_axis = 1>(all) }}"""
    )
    result = rewrite_model(model, [GatherSplitElement, ScanSequences])
    assert "SequenceInsert" not in op_types(result.model)
    np.testing.assert_array_equal(run(result.model, {"x": X})[0], -X)
