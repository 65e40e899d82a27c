import numpy as np
import onnx

from pluginkit.graph_rewrites.drop_zip_map import DropZipMap
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime

MODEL = """<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3]>
    t (float[n, 3] x) => (seq(map(int64, float)) scores, float[n, 3] y) {
    a = Abs(x) scores = ai.onnx.ml.ZipMap<classlabels_int64s = [1, 4, 7]>(a) y = Identity(a) }"""


def test_a_list_of_maps_is_a_tensor():
    model = onnx.parser.parse_model(MODEL)
    result = rewrite_model(model, [DropZipMap])
    assert [node.op_type for node in result.model.graph.node] == ["Abs", "Identity", "Identity"]
    assert [each.dim_value for each in result.model.graph.output[0].type.tensor_type.shape.dim] == [
        0,
        3,
    ]
    (note,) = result.notes
    assert note.startswith("an output is a tensor instead of a list of maps")
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    expected, got = run_onnxruntime(model, {"x": x}), run_onnxruntime(result.model, {"x": x})
    np.testing.assert_array_equal(got["scores"], np.abs(x))
    np.testing.assert_array_equal(got["scores"], expected["scores"])


def test_applied_twice_changes_nothing():
    once = rewrite_model(onnx.parser.parse_model(MODEL), [DropZipMap]).model
    again = rewrite_model(once, [DropZipMap])
    assert again.applied == []
    assert again.model == once


def test_maps_inside_the_model_are_left():
    model = onnx.parser.parse_model(MODEL)
    del model.graph.output[0]
    result = rewrite_model(model, [DropZipMap])
    assert result.applied == []
