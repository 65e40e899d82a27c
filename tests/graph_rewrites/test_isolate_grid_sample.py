import numpy as np
import onnx

from pluginkit.graph_rewrites.isolate_grid_sample import IsolateGridSample
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime

#: RAFT's lookup: both levels of a pyramid of correlations are sampled and concatenated.
LOOKUP = """<ir_version: 9, opset_import: ["" : 20]>
    g (float[1, N, 4] p, float[1, 4, 64] q, float[N, 3, 3, 2] g, float[N, 3, 3, 2] k)
    => (float[N, 2, 3, 3] y) <int64[4] shape = {-1, 1, 8, 8}, float two = {2.0}> {
    m = BETWEEN s = Reshape(m, shape) x = Div(s, two)
    a = GridSample<align_corners = 1>(x, g)
    w = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(x)
    b = GridSample<padding_mode = "border">(w, k)
    y = Concat<axis = 1>(a, b) }"""


def test_samples_of_a_product_stay_the_same():
    model = onnx.parser.parse_model(LOOKUP.replace("BETWEEN", "MatMul(p, q)"))
    result = rewrite_model(model, [IsolateGridSample])
    assert [each.rewrite for each in result.applied] == ["IsolateGridSample"] * 2
    draw = np.random.default_rng(3)
    shapes = {"p": (1, 5, 4), "q": (1, 4, 64), "g": (5, 3, 3, 2), "k": (5, 3, 3, 2)}
    feeds = {name: draw.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
    np.testing.assert_array_equal(got["y"], expected["y"])
    again = rewrite_model(result.model, [IsolateGridSample])
    assert again.applied == []
    assert again.model == result.model


def test_other_samples_are_left():
    model = onnx.parser.parse_model(LOOKUP.replace("BETWEEN", "MatMul(p, q) t = Tanh(m)")
                                    .replace("Reshape(m", "Reshape(t"))  # fmt: skip
    result = rewrite_model(model, [IsolateGridSample])
    reasons = {each.reason for each in result.refused}
    assert reasons == {"TensorRT takes it: what it samples is no matrix product"}
