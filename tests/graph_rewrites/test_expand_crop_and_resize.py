"""Regions that are known only when the model runs are cropped and resized as ONNX Runtime does."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.expand_crop_and_resize import ExpandCropAndResize
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import outputs_of, reason_against, rewritten

HEAD = '<ir_version: 8, opset_import: ["" : 13]> '
RESIZE = """Resize<mode = "linear", coordinate_transformation_mode = "tf_crop_and_resize",
    extrapolation_value = 0.5>"""
WHOLE = f"""g (float[1, 2, h, w] x, float[8] region) => (float[1, 2, a, b] y)
    <int64[4] sizes = {{1, 2, 4, 3}}> {{ y = {RESIZE}(x, region, , sizes) }}"""
#: As tf2onnx writes it: only the borders of height and width vary.
CORNERS = f"""g (float[1, 2, h, w] x, float[2] first, float[2] last) => (float[1, 2, a, b] y)
    <int64[4] sizes = {{1, 2, 4, 1}}, float[2] zeros = {{0, 0}}, float[2] ones = {{1, 1}}>
    {{ region = Concat<axis = 0>(zeros, first, ones, last) y = {RESIZE}(x, region, , sizes) }}"""
BOXES = np.float32([[0, 0, 1, 1], [0.125, 0.25, 0.75, 0.5], [-0.25, 0.5, 0.5, 1.25], [1, 1, 0, 0]])
X = np.random.default_rng(0).standard_normal((1, 2, 9, 5)).astype(np.float32)


def parsed(text):
    model = onnx.parser.parse_model(HEAD + text)
    model.graph.node[-1].name = "node"
    return model


@pytest.mark.parametrize("box", BOXES, ids=str)
@pytest.mark.parametrize("text", [WHOLE, CORNERS], ids=["whole", "corners"])
def test_numbers_are_those_of_onnxruntime(text, box):
    feeds = {"x": X, "first": box[:2], "last": box[2:]}
    if text is WHOLE:
        feeds = {"x": X, "region": np.float32([0, 0, *box[:2], 1, 1, *box[2:]])}
    (got,) = outputs_of(ExpandCropAndResize, parsed(text), feeds)
    wanted = run_onnxruntime(parsed(text), feeds)["y"]
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "nearest_mode", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
)
def test_nearest_elements_are_those_of_onnxruntime(nearest_mode):
    text = CORNERS.replace('mode = "linear"', f'mode = "nearest", nearest_mode = "{nearest_mode}"')
    feeds = {"x": X}
    for box in BOXES:
        feeds |= {"first": box[:2], "last": box[2:]}
        (got,) = outputs_of(ExpandCropAndResize, parsed(text), feeds)
        np.testing.assert_array_equal(got, run_onnxruntime(parsed(text), feeds)["y"])


def test_axes_whose_borders_are_stored_and_whose_size_is_kept_are_left_alone():
    gathered = [
        sum(node.op_type == "Gather" for node in rewritten(ExpandCropAndResize, model).graph.node)
        for model in map(parsed, (WHOLE, CORNERS))
    ]
    assert gathered == [2 * 4, 2 * 2]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('"linear"', '"cubic"'), "its mode is cubic"),
        (('"tf_crop_and_resize"', '"half_pixel"'), "its coordinates are not those"),
        (("x, region, , sizes", "x, region, scales"), "its sizes are not stored"),
        (("0.5>", "0.5, axes = [0, 1, 3, 2]>"), "its axes are in another order"),
        (('"linear"', '"linear", keep_aspect_ratio_policy = "not_larger"'), "it keeps the ratio"),
    ],
)
def test_other_resizes_are_left(change, reason):
    text = WHOLE.replace(*change).replace(
        "<int64[4] sizes", "<float[4] scales = {1, 1, 2, 2}, int64[4] sizes"
    )
    assert reason in reason_against(ExpandCropAndResize, parsed(text))


def test_a_known_region_of_a_known_image_is_left():
    known = WHOLE.replace("h, w] x, float[8] region", "9, 5] x").replace(
        "<int64[4]", "<float[8] region = {0, 0, 0, 0, 1, 1, 1, 1}, int64[4]"
    )
    reason = "its region and the size of its image are known"
    assert reason_against(ExpandCropAndResize, parsed(known)) == reason
