import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.expand_bag_sequence import ExpandBagSequence
from pluginkit.graph_rewrites.scan_sequences import ScanSequences
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime

#: As PyTorch's second exporter writes an EmbeddingBag.
TEXT = """<ir_version: 10, opset_import: ["" : 20]>
    t (float[rows, 4] w, int64[bags] starts, int64[ids] ids, int64[ids] also)
    => (float[bags, 4] y)
    <int64 zero = {{0}}, int64 one = {{1}}, int64 two = {{2}}, int64[1] flat = {{-1}},
     int64[1] first = {{0}}> {{
    count = Size(starts) same = Reshape(ids, flat) total = Shape(same)
    offsets = Concat<axis = 0>(starts, total) empty = SequenceEmpty()
    some = Less(zero, count)
    {outputs} = Loop("", some, {inputs}) <body = b
        (int64 run, bool go, {before})
        => (bool more, {after}) <int64 step = {{1}}> {{
        at = Reshape(number, flat) after = Add(at, one) start = Slice(offsets, at, after)
        from = Add(at, one) to = Add(at, two) end = Slice(offsets, from, to)
        none = Equal(start, end)
        row = If(none) <then_branch = p () => (float[1, 4] z)
            <float[1, 4] z = {{0.0, 0.0, 0.0, 0.0}}> {{ }},
            else_branch = q () => (float[1, 4] r) {{
                part = Slice(w, start, end) {reduced} }}>
        grown = SequenceInsert(given, row) next = Add(number, step) more = Less(next, count)
    }}>
    y = ConcatFromSequence<axis = 0>(sums) }}"""
#: The mean of the last bag is that of all ids from its start on.
MEAN = """latest = Sub(count, one) is_last = Equal(number, latest)
    r = If(is_last) <then_branch = u () => (float[1, 4] v) {
        sum = ReduceSum(part, first) all = Shape({ids}) size = Sub(all, start)
        nought = CastLike(zero, size) has_ids = Greater(size, nought)
        v = If(has_ids) <then_branch = f () => (float[1, 4] m) {
            wide = Cast<to = 1>(size) m = Div(sum, wide) },
            else_branch = g () => (float[1, 4] e) { e = Identity(sum) }>
    }, else_branch = h () => (float[1, 4] k) { k = ReduceMean(part, first) }>"""
#: The rows of the last bag are those from its start to all ids.
MAX = """latest = Sub(count, one) is_last = Equal(number, latest)
    rows = If(is_last) <then_branch = u () => (float[k, 4] v) {{ v = Slice(w, start, {}) }},
        else_branch = h () => (float[k, 4] e) {{ e = Slice(w, start, end) }}>
    r = ReduceMax(rows, first)"""
FEEDS = {
    "w": np.random.default_rng(2).standard_normal((6, 4)).astype(np.float32),
    "ids": np.zeros(6, np.int64),
}

#: Rows of the padding do not count: the places of the others are appended to in a loop of its own.
PADDED = """<ir_version: 10, opset_import: ["" : 20]>
    t (float[ids, 4] w, int64[bags] starts, int64[ids] ids)
    => (float[bags, 4] y)
    <int64 zero = {{0}}, int64 one = {{1}}, int64[1] flat = {{-1}}, int64[1] first = {{0}},
     int64 known = {{6}}, int64 padding = {{{padding}}}, int64[0] none = {{}}> {{
    count = Size(starts) total = Shape(ids) offsets = Concat<axis = 0>(starts, total)
    empty = SequenceEmpty()
    some = Less(zero, count)
    last, sums = Loop("", some, zero, empty) <body = b
        (int64 run, bool go, int64 number, seq(float[?, 4]) given)
        => (bool more, int64 next, seq(float[?, 4]) grown) {{
        start = Gather(offsets, number) next = Add(number, one) end = Gather(offsets, next)
        has_ids = Less(start, end)
        places, stop = Loop("", has_ids, none, start) <body = c
            (int64 step, bool goes, int64[k] before, int64 at)
            => (bool on, int64[l] after, int64 then) {{
            id = Gather(ids, at) is_negative = Less(id, zero) raised = Add(id, known)
            positive = Where(is_negative, raised, id) is_padding = Equal(positive, padding)
            after = If(is_padding) <then_branch = p () => (int64[m] same) {{
                same = Identity(before) }},
                else_branch = q () => (int64[n] longer) {{
                place = Reshape(at, flat) longer = Concat<axis = 0>(before, place) }}>
            raised_at = Add(at, one) then = Identity(raised_at) on = Less(then, end)
        }}>
        size = Size(places) is_empty = Equal(size, zero)
        row = If(is_empty) <then_branch = f () => (float[1, 4] z)
            <float[1, 4] z = {{0.0, 0.0, 0.0, 0.0}}> {{ }},
            else_branch = g () => (float[1, 4] r) {{
                part = Gather(w, places) r = {reduction}(part, first) }}>
        grown = SequenceInsert(given, row) more = Less(next, count)
    }}>
    y = ConcatFromSequence<axis = 0>(sums) }}"""


def bags_model(reduced="r = ReduceSum(part, first)", start="zero", is_first=False, changed=()):
    """Return a loop over bags, which carries the sequence before the number or after it."""
    text = TEXT
    for old in changed:
        text = text.replace(old, changed[old])
    outputs, inputs = ["last", "sums"], [start, "empty"]
    before = ["int64 number", "seq(float[1, 4]) given"]
    after = ["int64 next", "seq(float[1, 4]) grown"]
    pairs = {"outputs": outputs, "inputs": inputs, "before": before, "after": after}
    named = {name: ", ".join(pair[::-1] if is_first else pair) for name, pair in pairs.items()}
    return onnx.parser.parse_model(text.format(reduced=reduced, **named))


@pytest.mark.parametrize("starts", [[0, 2, 2], [0, 0, 6], [1, 3, 5]], ids=str)
@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize(
    "reduced",
    [
        "r = ReduceSum(part, first)",
        MEAN.replace("{ids}", "ids"),
        MAX.format("total"),
    ],
    ids=["sum", "mean", "max"],
)
def test_what_is_appended_for_each_bag_is_one_product_or_reduction(reduced, is_first, starts):
    model = bags_model(reduced, is_first=is_first)
    result = rewrite_model(model, [ExpandBagSequence])
    assert [each.rewrite for each in result.applied] == ["ExpandBagSequence"]
    feeds = FEEDS | {"starts": np.array(starts), "also": np.zeros(0, np.int64)}
    expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-6, atol=1e-6)
    assert rewrite_model(result.model, [ExpandBagSequence]).applied == []


def test_bags_are_found_before_their_rows_are_collected():
    """ScanSequences leaves no sequence, but a loop that TensorRT refuses, without a limit."""
    assert ExpandBagSequence.order < ScanSequences.order


@pytest.mark.parametrize("starts", [[0, 2, 4], [0, 0, 6], [0, 3, 4]], ids=str)
@pytest.mark.parametrize("reduction", ["ReduceSum", "ReduceMean", "ReduceMax"])
def test_rows_of_the_padding_do_not_count(reduction, starts):
    model = onnx.parser.parse_model(PADDED.format(reduction=reduction, padding=2))
    result = rewrite_model(model, [ExpandBagSequence])
    assert [each.rewrite for each in result.applied] == ["ExpandBagSequence"]
    feeds = FEEDS | {"starts": np.array(starts), "ids": np.array([1, 2, 2, -4, 5, 0])}
    expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("reduction", ["ReduceSum", "ReduceMean", "ReduceMax"])
def test_the_last_offset_may_be_given_too(reduction):
    """As with include_last_offset: the number of ids takes its place."""
    text = PADDED.replace("float[bags, 4]", "float[?, 4]").replace(
        "count = Size(starts) total = Shape(ids) offsets = Concat<axis = 0>(starts, total)",
        "all = Size(starts) count = Sub(all, one) total = Shape(ids) "
        "offsets = ScatterElements(starts, flat, total)",
    )
    model = onnx.parser.parse_model(text.format(reduction=reduction, padding=2))
    result = rewrite_model(model, [ExpandBagSequence])
    assert [each.rewrite for each in result.applied] == ["ExpandBagSequence"]
    feeds = FEEDS | {"starts": np.array([0, 2, 2, 6]), "ids": np.array([1, 2, 2, -4, 5, 0])}
    expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
    assert got["y"].shape == (3, 4)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "reduced",
    ["r = ReduceSum(part, first)", MEAN.replace("{ids}", "ids"), MAX.format("total")],
    ids=["sum", "mean", "max"],
)
@pytest.mark.parametrize("offsets", ["Identity(starts)", "Add(starts, first)"])
def test_offsets_that_end_with_the_number_of_rows_are_taken_whole(reduced, offsets):
    """As with include_last_offset and no padding."""
    changed = {
        "count = Size(starts)": f"offsets = {offsets} ends = Size(offsets) count = Sub(ends, one)",
        "offsets = Concat<axis = 0>(starts, total)": "",
        "float[bags, 4]": "float[?, 4]",
    }
    model = bags_model(reduced, changed=changed)
    result = rewrite_model(model, [ExpandBagSequence])
    assert [each.rewrite for each in result.applied] == ["ExpandBagSequence"]
    feeds = FEEDS | {"starts": np.array([0, 2, 2, 6]), "also": np.zeros(0, np.int64)}
    expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
    assert got["y"].shape == (3, 4)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-6, atol=1e-6)


def test_products_without_the_padding_are_left():
    model = onnx.parser.parse_model(PADDED.format(reduction="ReduceProd", padding=2))
    (refused,) = rewrite_model(model, [ExpandBagSequence]).refused
    assert refused.reason == "its loop is none over bags"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"reduced": "r = ReduceMin(part, first)"}, "its loop is none over bags"),
        ({"reduced": MAX.format("flat")}, "its loop is none over bags"),
        ({"reduced": MEAN.replace("{ids}", "starts")}, "its loop is none over bags"),
        ({"reduced": MEAN.replace("{ids}", "also")}, "its loop is none over bags"),
        ({"start": "one"}, "its loop is none over bags"),
    ],
)
def test_other_loops_are_left(options, reason):
    (refused,) = rewrite_model(bags_model(**options), [ExpandBagSequence]).refused
    assert refused.reason == reason


def test_a_loop_that_may_not_end_is_not_tried():
    model = bags_model()
    loop = next(node for node in model.graph.node if node.op_type == "Loop")
    body = loop.attribute[0].g
    next(node for node in body.node if "next" in node.output).op_type = "Mul"
    (refused,) = rewrite_model(model, [ExpandBagSequence]).refused
    assert refused.reason == "its loop is none over bags"
