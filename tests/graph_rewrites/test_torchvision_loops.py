"""Loops of torchvision's Mask R-CNN and Keypoint R-CNN, as torch 2.14 exports them.

The models hold the Loop of an export and the constants that it reads.
"""

from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from pluginkit import BuildOptions, find_rewrites
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.expand_mask_pasting import ExpandMaskPasting
from pluginkit.graph_rewrites.replace_keypoint_search import ReplaceKeypointSearch
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

MODELS = Path(__file__).parent / "models"
LOOPS = {
    "torchvision_mask_pasting": ExpandMaskPasting,
    "torchvision_keypoint_search": ReplaceKeypointSearch,
}
PROFILES = {
    "torchvision_mask_pasting": {
        "masks": "1x1x30x30,4x1x30x30,100x1x30x30",
        "boxes": "1x4,4x4,100x4",
    },
    "torchvision_keypoint_search": {
        "maps": "1x17x56x56,4x17x56x56,100x17x56x56",
        **dict.fromkeys(
            ("pixel_widths", "pixel_heights", "widths", "heights", "left", "top"), "1,4,100"
        ),
    },
}


def model_of(name):
    return onnx.load(MODELS / f"{name}.onnx")


def feeds_of(name, count=4):
    rng = np.random.default_rng(5)
    if name == "torchvision_mask_pasting":
        boxes = np.array([[-5, -9, 60, 200], [10, 20, 10, 20], [100, 0, 330, 340], [3, 4, 90, 31]])
        masks = rng.random((count, 1, 30, 30)).astype(np.float32)
        return {"masks": masks, "boxes": boxes[:count]}
    sizes = rng.uniform(1, 60, (2, count)).astype(np.float32)
    width, height = np.ceil(sizes)
    left, top = rng.uniform(0, 200, (2, count)).astype(np.float32)
    maps = rng.normal(size=(count, 17, 56, 56)).astype(np.float32)
    named = {"pixel_widths": width, "pixel_heights": height, "widths": sizes[0]}
    return {"maps": maps} | named | {"heights": sizes[1], "left": left, "top": top}


def body_of(model):
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    return next(each.g for each in loop.attribute if each.name == "body")


@pytest.mark.parametrize("count", [0, 4])
@pytest.mark.parametrize("name", LOOPS)
def test_the_loop_becomes_operators_that_compute_the_same(name, count, tmp_path):
    model = model_of(name)
    result = rewrite_model(model, [LOOPS[name]])
    assert "Loop" not in {node.op_type for node in result.model.graph.node}
    feeds = feeds_of(name, count)
    expected = run_onnxruntime(model, feeds)
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    assert len(expected) == len(model.graph.output)
    for output, array in expected.items():
        assert array.shape[0] == count
        np.testing.assert_allclose(got[output], array, atol=1e-4)
    again = rewrite_model(result.model, [LOOPS[name]])
    assert (again.model, again.applied) == (result.model, [])


def scale_a_constant(body):
    """Make the body compute almost the same."""
    node = next(
        node
        for node in body.node
        if node.op_type == "Constant" and onnx.numpy_helper.to_array(node.attribute[0].t) == 0.5
    )
    half = np.array(0.4375, np.float32)
    node.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(half))


def change_the_mode(body):
    (resize,) = (node for node in body.node if node.op_type == "Resize")
    for each in resize.attribute:
        if each.name == "mode":
            each.s = b"nearest"


def read_the_images(body):
    joined = next(node for node in body.node if node.output[0] == body.output[1].name)
    body.node.append(onnx.helper.make_node("Neg", [joined.input[0]], ["read"]))


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("torchvision_mask_pasting", change_the_mode, "its body computes something else"),
        ("torchvision_mask_pasting", read_the_images, "otherwise than by rows at its end"),
        ("torchvision_keypoint_search", change_the_mode, "its body computes something else"),
        ("torchvision_keypoint_search", scale_a_constant, "its body computes something else"),
    ],
)
def test_a_loop_that_does_something_else_is_left_with_the_reason(name, change, reason):
    model = model_of(name)
    change(body_of(model))
    result = rewrite_model(model, [LOOPS[name]])
    assert not result.applied
    assert reason in result.refused[0].reason


@pytest.mark.trt
@pytest.mark.slow
@pytest.mark.parametrize("name", LOOPS)
def test_a_real_build_takes_it(name):
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    path = MODELS / f"{name}.onnx"
    built = build_engine(
        path, options=options, shapes=PROFILES[name], rewrites=list(find_rewrites())
    )
    assert built.plan_path.stat().st_size
