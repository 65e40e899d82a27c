import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_image_crops import ExpandImageCrops
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import normal

#: One inside, one turned over, one beyond the image, one that ends at it.
ROIS = np.float32(
    [[0.1, 0.2, 0.7, 0.9], [0.9, 0.8, 0.2, 0.1], [-0.2, -0.3, 1.3, 1.2], [0, 0, 1, 1]]
)


def crops_model(size=(4, 5), stored=("size",), **options):
    inputs = {"x": normal(2, 3, 7, 8), "rois": ROIS, "images": np.int32([0, 1, 1, 0])}
    inputs["size"] = np.int32(size)
    options.setdefault("dims", {"x": ("n", 3, "h", "w"), "rois": ("r", 4), "images": ("r",)})
    model = microsoft_model(
        "CropAndResize", inputs, {"y": ("float32", 4)}, stored=stored, **options
    )
    return model, feeds_of(model, inputs)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(4, 5), (1, 3), (1, 1)])
def test_crops_are_resized_to_one_size(mode, size):
    model, feeds = crops_model(size, mode=mode, extrapolation_value=7.0)
    assert_spelled_out(model, feeds, [ExpandImageCrops])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"stored": ()}, "the size of its crops is not stored in the model"),
        ({"mode": "cubic"}, "its mode is not known"),
        ({"opset": 10}, "it needs the operators of opset 11; the model has 10"),
    ],
)
def test_other_crops_are_left(options, reason):
    model, _ = crops_model(**options)
    assert reason_against(ExpandImageCrops, model) == reason
