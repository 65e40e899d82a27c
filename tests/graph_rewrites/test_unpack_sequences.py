"""Sequences of known length become tensors."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.unpack_sequences import UnpackSequences
from pluginkit.graph_rewrites.unroll_sequence_loops import UnrollSequenceLoops, UnrollSingleRun
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.samples import normal

REWRITES = [UnrollSequenceLoops, UnpackSequences]
HEADER = '<ir_version: 10, opset_import: ["" : {}]>'
X = normal(6, 4)
#: In each model x is [6, 4], and y is the output.
MODELS = {
    "construct": """t (float[6, 4] x) => (float[12, 4] y) {
        s = SequenceConstruct(x, x) y = ConcatFromSequence<axis = 0>(s) }""",
    "stack": """t (float[n, 4] x) => (float[n, 2, 4] y) {
        a = Neg(x) s = SequenceConstruct(x, a) y = ConcatFromSequence<axis = 1, new_axis = 1>(s)
    }""",
    "at": """t (float[6, 4] x) => (float[6, 4] y) <int64 i = {-2}> {
        a = Neg(x) s = SequenceConstruct(x, a, x) y = SequenceAt(s, i) }""",
    "insert and erase": """t (float[6, 4] x) => (float[18, 4] y) <int64 i = {1}, int64 j = {-1}> {
        a = Neg(x) b = Abs(x) e = SequenceEmpty() s = SequenceInsert(e, x)
        u = SequenceInsert(s, a, i) v = SequenceInsert(u, b, i) w = SequenceErase(v, j)
        z = SequenceErase(v) v2 = SequenceInsert(w, x, j) y = ConcatFromSequence<axis = 0>(v2) }""",
    "length": """t (float[6, 4] x) => (int64 y) {
        a = SequenceConstruct(x, x, x) y = SequenceLength(a) }""",
    "split into ones": """t (float[6, 4] x) => (float[6, 1] y) <int64 i = {2}> {
        s = SplitToSequence<axis = -1>(x) y = SequenceAt(s, i) }""",
    "split without the axis": """t (float[6, 4] x) => (float[6] y) <int64 i = {-1}> {
        s = SplitToSequence<axis = 1, keepdims = 0>(x) y = SequenceAt(s, i) }""",
    "split into ones without the axis": """t (float[6, 4] x) => (float[6] y)
        <int64 i = {-1}, int64 one = {1}> {
        s = SplitToSequence<axis = 1, keepdims = 0>(x, one) y = SequenceAt(s, i) }""",
    "split into parts": """t (float[6, 4] x) => (float[2, 4] y) <int64 k = {4}, int64 i = {1}> {
        s = SplitToSequence<axis = 0>(x, k) y = SequenceAt(s, i) }""",
    "split into given parts": """t (float[n, 4] x) => (float[n, 3] y)
        <int64[2] k = {1, 3}, int64 i = {1}> {
        s = SplitToSequence<axis = 1>(x, k) y = SequenceAt(s, i) }""",
    "split and reverse": """t (float[6, 4] x) => (float[6, 4] y)
        <int64 k = {2}, int64 i = {0}, int64 j = {1}> {
        s = SplitToSequence<axis = 1>(x, k) a = SequenceAt(s, i) b = SequenceAt(s, j)
        u = SequenceConstruct(b, a) v = Identity(u) y = ConcatFromSequence<axis = 1>(v) }""",
    "map": """t (float[6, 4] x) => (float[6, 4] y) <int64 k = {2}> {
        s = SplitToSequence<axis = 0>(x, k)
        u = SequenceMap(s, x) <body = b (float[2, 4] e, float[6, 4] all) => (float[2, 4] r)
            { m = ReduceMax(all) h = Mul(e, m) r = Neg(h) }>
        y = ConcatFromSequence<axis = 0>(u) }""",
    "loop": """t (float[6, 4] x) => (float[6, 4] y, float[3, 2, 4] z)
        <int64 k = {2}, int64 n = {3}, bool c = {1}> {
        s = SplitToSequence<axis = 0>(x, k) e = SequenceEmpty()
        out, z = Loop(n, c, e) <body = b (int64 i, bool go, seq(float[2, 4]) acc)
            => (bool go2, seq(float[2, 4]) acc2, float[2, 4] row) {
            go2 = Identity(go) p = SequenceAt(s, i) f = CastLike(i, p) row = Add(p, f)
            acc2 = SequenceInsert(acc, row) }>
        y = ConcatFromSequence<axis = 0>(out) }""",
    "loop by shape": """t (float[3, 4] x) => (float[4, 3] y) <int64 zero = {0}, bool c = {1}> {
        sh = Shape(x) n = Gather(sh, zero) e = SequenceEmpty()
        out = Loop(n, c, e) <body = b (int64 i, bool go, seq(float[4]) acc)
            => (bool go2, seq(float[4]) acc2) {
            go2 = Constant<value = bool {1}>() row = Gather(x, i) acc2 = SequenceInsert(acc, row)
        }>
        y = ConcatFromSequence<axis = 1, new_axis = 1>(out) }""",
    "loop with a condition from outside": """t (float[3, 4] x) => (float[3, 4] y)
        <int64 n = {3}, bool c = {1}> {
        e = SequenceEmpty()
        out = Loop(n, c, e) <body = b (int64 i, bool go, seq(float[4]) acc)
            => (bool go2, seq(float[4]) acc2) {
            go2 = Identity(c) row = Gather(x, i) acc2 = SequenceInsert(acc, row)
        }>
        y = ConcatFromSequence<axis = 0, new_axis = 1>(out) }""",
    "loop whose number is a vector": """t (float[6, 4] x) => (float[6, 4] y)
        <int64 n = {2}, bool c = {1}, int64[3] places = {0, 2, 6}, int64 one = {1}> {
        e = SequenceEmpty()
        out = Loop(n, c, e) <body = b (int64[1] i, bool go, seq(float[m, 4]) acc)
            => (bool go2, seq(float[m, 4]) acc2) {
            go2 = Identity(go) start = Gather(places, i) next = Add(i, one)
            end = Gather(places, next) part = Slice(x, start, end)
            acc2 = SequenceInsert(acc, part) }>
        y = ConcatFromSequence<axis = 0>(out) }""",
    "in a branch": """t (float[6, 4] x, bool c) => (float[3, 4] y) <int64 i = {1}, int64 k = {3}> {
        s = SplitToSequence<axis = 0>(x, k)
        y = If(c) <then_branch = a () => (float[3, 4] p) { p = SequenceAt(s, i) },
            else_branch = b () => (float[3, 4] q) { h = SequenceAt(s, i) q = Neg(h) }> }""",
    "optional": """t (float[6, 4] x) => (float[6, 4] y, bool z) {
        o = Optional(x) z = OptionalHasElement(o) p = Identity(o) y = OptionalGetElement(p) }""",
    "optional sequence": """t (float[6, 4] x) => (float[12, 4] y) {
        s = SequenceConstruct(x, x) o = Optional(s) u = OptionalGetElement(o)
        y = ConcatFromSequence<axis = 0>(u) }""",
}
#: Operators that TensorRT has.
LEFT = {
    *("Abs", "Add", "CastLike", "Concat", "Constant", "Gather", "Identity", "If", "Mul", "Neg"),
    *("ReduceMax", "Shape", "Slice", "Split", "Squeeze", "Unsqueeze"),
}


def parsed(text: str, opset: int = 18) -> onnx.ModelProto:
    return onnx.parser.parse_model(HEADER.format(opset) + text)


def feeds_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    shape = [each.dim_value or 6 for each in model.graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": X[: shape[0], : shape[1]]}
    return feeds | ({"c": np.array(True)} if len(model.graph.input) > 1 else {})


@pytest.mark.parametrize("name", MODELS)
def test_sequences_become_tensors(name):
    model = parsed(MODELS[name])
    result = rewrite_model(model, REWRITES)
    nodes = list(result.model.graph.node)
    nodes += [node for each in nodes for a in each.attribute for node in a.g.node]
    assert {node.op_type for node in nodes} <= LEFT
    feeds = feeds_of(model)
    expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
    for output, array in expected.items():
        np.testing.assert_array_equal(got[output], array)
    again = rewrite_model(result.model, REWRITES)
    assert again.applied == []
    assert again.model == result.model


@pytest.mark.parametrize("name", ["stack", "split without the axis", "split into parts"])
def test_axes_and_sizes_are_attributes_before_opset_13(name):
    model = parsed(MODELS[name], 12)
    result = rewrite_model(model, REWRITES)
    feeds = feeds_of(model)
    expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
    np.testing.assert_array_equal(got["y"], expected["y"])
    assert {node.op_type for node in result.model.graph.node} <= LEFT


@pytest.mark.parametrize(
    "text",
    [
        """t (float[n, 4] x) => (float[1, 4] y) <int64 i = {0}> {
            s = SplitToSequence<axis = 0>(x) y = SequenceAt(s, i) }""",
        """t (float[6, 4] x, int64 i) => (float[1, 4] y) {
            s = SplitToSequence<axis = 0>(x) y = SequenceAt(s, i) }""",
        """t (float[6, 4] x) => (float[24, 4] y) <int64 n = {2}, bool c = {1}> {
            s = SequenceConstruct(x, x)
            u = Loop(n, c, s) <body = b (int64 i, bool go, seq(float[6, 4]) acc)
                => (bool go2, seq(float[6, 4]) acc2) {
                m = ReduceMax<keepdims = 0>(x) f = CastLike(i, m) go2 = Less(f, m)
                acc2 = SequenceInsert(acc, x) }>
            y = ConcatFromSequence<axis = 0>(u) }""",
    ],
)
def test_lengths_and_positions_that_depend_on_data_are_left(text):
    model = parsed(text)
    result = rewrite_model(model, REWRITES)
    assert result.applied == []
    assert result.model == model


def test_a_sequence_that_is_an_output_stays():
    model = parsed("""t (float[6, 4] x) => (seq(float[6, 4]) s, float[6, 4] y) <int64 i = {0}> {
        s = SequenceConstruct(x, x) y = SequenceAt(s, i) }""")
    result = rewrite_model(model, REWRITES)
    kinds = [node.op_type for node in result.model.graph.node]
    assert kinds == ["SequenceConstruct", "Identity"]
    assert rewrite_model(result.model, REWRITES).applied == []


def test_an_empty_sequence_that_nothing_reads_goes():
    model = parsed("t (float[6, 4] x) => (float[6, 4] y) { s = SequenceEmpty() y = Neg(x) }")
    result = rewrite_model(model, REWRITES)
    assert [node.op_type for node in result.model.graph.node] == ["Neg"]


def test_a_split_by_a_table_is_left():
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 13]> g (float[3, 2] a) => (int64 y)'
        " <int64[2, 3] b = {1, 1, 1, 1, 1, 1}>"
        " { o = SplitToSequence (a, b) y = SequenceLength (o) }"
    )
    assert rewrite_model(model, [UnpackSequences]).applied == []


def once(count, domain=""):
    """A Loop without sequences whose body has a node of ONNX Runtime's, and imports no domain."""
    made = onnx.parser.parse_model(
        HEADER.format(17)
        + f"""t (float[6, 4] x) => (float[6, 4] y, float[r, 6, 4] z)
        <int64 n = {{{count}}}, bool c = {{1}}> {{
        y, z = Loop(n, c, x) <body = b (int64[1] i, bool go, float[6, 4] h)
            => (bool on, float[6, 4] after, float[6, 4] row)
            <int64 zero = {{0}}, int64 one = {{1}}> {{
            on = Less(zero, one) k = Range(zero, one, one) s = ReduceSum(k) f = Cast<to = 1>(s)
            j = Cast<to = 1>(i) g2 = Add(h, f) after = Add(g2, j) row = Neg(h) }}> }}"""
    )
    for node in made.graph.node[0].attribute[0].g.node:
        if node.op_type == "Range":
            node.domain = domain
    return made


@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_a_loop_that_runs_once_is_its_body(domain):
    model = once(1, domain)
    result = rewrite_model(model, [UnrollSingleRun])
    assert [each.rewrite for each in result.applied] == ["UnrollSingleRun"]
    assert "Loop" not in [node.op_type for node in result.model.graph.node]
    got = run_onnxruntime(result.model, {"x": X})
    for name, expected in run_onnxruntime(model, {"x": X}).items():
        np.testing.assert_array_equal(got[name], expected)
    assert rewrite_model(result.model, [UnrollSingleRun]).applied == []


@pytest.mark.parametrize("rewrites", [[UnrollSingleRun], REWRITES])
def test_another_loop_without_sequences_is_left(rewrites):
    assert rewrite_model(once(2), rewrites).applied == []
