"""Operators that ONNX has dropped and ONNX Runtime computes give the same numbers spelled out."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.expand_experimental import ExpandAffine, ExpandCrop
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import outputs_of, reason_against

X = np.random.default_rng(0).standard_normal((2, 3, 8, 9)).astype(np.float32)


def model(node, input_type="float[2, 3, 8, 9]"):
    made = onnx.parser.parse_model(
        f'<ir_version: 4, opset_import: ["" : 8]> g ({input_type} x) => (float[a, b, c, d] y) '
        f"{{ y = {node}(x) }}"
    )
    made.graph.node[0].name = "node"
    return made


@pytest.mark.parametrize(
    ("rewrite", "node"),
    [
        (ExpandAffine, "Affine<alpha = 2.0, beta = 1.0>"),
        (ExpandAffine, "Affine<alpha = 0.5>"),
        (ExpandAffine, "Scale<scale = 2.5>"),
        (ExpandCrop, "Crop<border = [1, 2, 3, 0]>"),
        (ExpandCrop, "Crop<border = [4, 1, 0, 0], scale = [5, 2]>"),
    ],
)
def test_numbers_are_those_of_onnxruntime(rewrite, node):
    (got,) = outputs_of(rewrite, model(node), {"x": X})
    np.testing.assert_array_equal(got, run_onnxruntime(model(node), {"x": X})["y"])


def test_a_crop_of_a_volume_is_left():
    volume = model("Crop<border = [1, 2, 3, 0]>", "float[2, 3, 4, 8, 9]")
    assert "has not four axes" in reason_against(ExpandCrop, volume)
