import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.carry_doubles import CarryDoubles
from pluginkit.onnx.model.graphs import scopes
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime

X = np.random.default_rng(3).standard_normal((3, 4))
HEADER = '<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>'
#: In each model x is float64[3, 4]; the texts of the nodes between.
MODELS = {
    "border": "t (double[3, 4] x) => (double[3, 4] y) { y = Neg(x) }",
    "stored": """t (double[3, 4] x) => (double[3, 4] y)
        <double c = {0.1}, double[4] w = {1, 2, 3, 4}> { a = Mul(x, w) y = Add(a, c) }""",
    "inside": """t (float[3, 4] x) => (float[3, 4] y) {
        d = Cast<to = 11>(x) k = Constant<value = double {0.3}>() m = Mul(d, k)
        y = Cast<to = 1>(m) }""",
    "constants": """t (double[3, 4] x) => (double[3, 4] y, int64 z) {
        s = Shape(x) o = ConstantOfShape<value = double[1] {2.5}>(s) a = Mul(o, x)
        i = Cast<to = 7>(a) y = Cast<to = 11>(i) z = ArgMax<axis = 1>(a) }""",
    "like": """t (double[3, 4] x, int64[3, 4] i) => (double[3, 4] y) {
        c = CastLike(i, x) y = Add(c, x) }""",
    "branches": """t (double[3, 4] x, bool c) => (double[3, 4] y) {
        a = Neg(x)
        y = If(c) <then_branch = p () => (double[3, 4] u) { u = Mul(a, x) },
            else_branch = q () => (double[3, 4] v) { v = Identity(a) }> }""",
    "loop": """t (double[3, 4] x) => (double[3, 4] y) <int64 n = {3}, bool c = {1}> {
        y = Loop(n, c, x) <body = b (int64 i, bool go, double[3, 4] s)
            => (bool go2, double[3, 4] t) {
            go2 = Identity(go) f = Cast<to = 11>(i) h = Constant<value = double {0.5}>()
            m = Mul(s, h) t = Add(m, f) }> }""",
    "onnxruntime": """t (double[3, 4] x) => (double[3, 3] y) {
        a = Neg(x) y = com.microsoft.CDist<metric = "euclidean">(a, a) }""",
    "mask": """t (double[3, 4] x) => (double[3, 4] y) <double least = {-1.7976931348623157e308}> {
        z = Constant<value = double {0.0}>() p = Greater(x, z) m = Where(p, x, least)
        y = Softmax<axis = -1>(m) }""",
}


def parsed(name: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(HEADER + MODELS[name])


@pytest.mark.parametrize("name", MODELS)
def test_doubles_are_floats_between_the_borders(name):
    model = parsed(name)
    result = rewrite_model(model, [CarryDoubles])
    feeds = {"x": X.astype(np.float32 if name == "inside" else np.float64)}
    feeds |= {"c": np.array(True)} if name == "branches" else {}
    feeds |= {"i": np.arange(12).reshape(3, 4)} if name == "like" else {}
    expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
    for output, array in expected.items():
        assert got[output].dtype == array.dtype
        np.testing.assert_allclose(got[output], array, rtol=1e-6, atol=1e-6)
    borders = {each.name for each in [*model.graph.input, *model.graph.output]}
    inferred = onnx.shape_inference.infer_shapes(result.model)
    for scope in scopes(inferred):
        for value in scope.graph.value_info:
            assert value.type.tensor_type.elem_type != onnx.TensorProto.DOUBLE or (
                value.name in borders
            )
    (note,) = result.notes
    assert note.startswith("float64 is computed in float32, to about seven digits. (")


@pytest.mark.parametrize("name", MODELS)
def test_applied_twice_changes_nothing(name):
    once = rewrite_model(parsed(name), [CarryDoubles]).model
    again = rewrite_model(once, [CarryDoubles])
    assert again.applied == []
    assert again.model == once


def test_the_bits_of_a_double_are_left():
    """float32 has other ones, and half as many."""
    model = onnx.parser.parse_model(
        """<ir_version: 13, opset_import: ["" : 26]> t (int64[2] x) => (double[2] y) {
        w = Add(x, x) y = BitCast<to = 11>(w) }"""
    )
    assert rewrite_model(model, [CarryDoubles]).applied == []
