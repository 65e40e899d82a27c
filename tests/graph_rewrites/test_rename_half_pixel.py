import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.rename_half_pixel import RenameHalfPixel
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import reason_against

TEXT = """<ir_version: 8, opset_import: ["" : 11]>
    t (float[1, 2, h, w] x, float[4] s) => (float[1, 2, p, q] y) <float[0] roi = {{}}> {{
    [node] y = Resize<mode = "{}", coordinate_transformation_mode = "tf_half_pixel_for_nn",
        nearest_mode = "{}">(x, roi, s) }}"""


def model_of(mode="nearest", rounding="floor"):
    return onnx.parser.parse_model(TEXT.format(mode, rounding))


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.75, 1, 1.5, 2, 2.3, 3])
def test_the_same_elements_are_taken(scale):
    model = model_of()
    result = rewrite_model(model, [RenameHalfPixel])
    assert [each.rewrite for each in result.applied] == ["RenameHalfPixel"]
    feeds = {
        "x": np.arange(2 * 7 * 10, dtype=np.float32).reshape(1, 2, 7, 10),
        "s": np.float32([1, 1, scale, scale]),
    }
    expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
    np.testing.assert_array_equal(got["y"], expected["y"])
    assert rewrite_model(result.model, [RenameHalfPixel]).applied == []


@pytest.mark.parametrize(("mode", "rounding"), [("linear", "floor"), ("nearest", "ceil")])
def test_other_elements_are_left(mode, rounding):
    reason = "it does not take the element at the floor of each coordinate"
    assert reason_against(RenameHalfPixel, model_of(mode, rounding)) == reason


def test_other_coordinates_are_left():
    model = onnx.parser.parse_model(
        TEXT.format("nearest", "floor").replace("tf_half_pixel_for_nn", "asymmetric")
    )
    reason = "its coordinates are not those of tf_half_pixel_for_nn"
    assert reason_against(RenameHalfPixel, model) == reason
