import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_col2im import ExpandCol2Im
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import i64, node_model, normal


def summed(x, image, block, strides, dilations, pads):
    """Column by column."""
    batch, channels = x.shape[0], x.shape[1] // (block[0] * block[1])
    padded = [image[axis] + pads[axis] + pads[2 + axis] for axis in range(2)]
    spans = [dilations[axis] * (block[axis] - 1) + 1 for axis in range(2)]
    counts = [(padded[axis] - spans[axis]) // strides[axis] + 1 for axis in range(2)]
    result = np.zeros((batch, channels, *padded))
    columns = x.reshape(batch, channels, *block, *counts)
    for i in range(counts[0]):
        for j in range(counts[1]):
            top, left = i * strides[0], j * strides[1]
            result[
                :,
                :,
                top : top + spans[0] : dilations[0],
                left : left + spans[1] : dilations[1],
            ] += columns[..., i, j]
    return result[:, :, pads[0] : pads[0] + image[0], pads[1] : pads[1] + image[1]]


@pytest.mark.parametrize(
    ("strides", "dilations", "pads", "count"),
    [
        ([1, 1], [1, 1], [0, 0, 0, 0], 25),
        ([2, 3], [1, 1], [1, 0, 0, 2], 9),
        ([1, 2], [2, 1], [0, 1, 1, 1], 20),
        ([4, 4], [1, 1], [0, 0, 0, 0], 4),
    ],
)
def test_columns_are_summed_as_one_by_one(strides, dilations, pads, count):
    x = normal(2, 18, count)
    inputs = {"x": x, "image": i64(6, 7), "block": i64(2, 3)}
    options = {"strides": strides, "dilations": dilations, "pads": pads}
    model = node_model("Col2Im", inputs, stored=["image", "block"], **options)
    (got,) = outputs_of(ExpandCol2Im, model, {"x": x})
    expected = summed(x, (6, 7), (2, 3), strides, dilations, pads)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_an_infinity_stays_in_its_pixels():
    x = np.zeros((1, 6, 20), np.float32)
    x[0, 0, 0] = np.inf
    inputs = {"x": x, "image": i64(5, 7), "block": i64(2, 3)}
    model = node_model("Col2Im", inputs, stored=["image", "block"])
    (got,) = outputs_of(ExpandCol2Im, model, {"x": x})
    assert np.isinf(got).sum() == 1
    assert not np.isnan(got).any()


@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_other_types_are_left(dtype):
    inputs = {"x": np.ones((1, 6, 20), dtype), "image": i64(5, 7), "block": i64(2, 3)}
    model = node_model("Col2Im", inputs, stored=["image", "block"])
    assert reason_against(ExpandCol2Im, model) == (
        f"'x' is {dtype.__name__}; expected float32, float16 or bfloat16"
    )


def test_unknown_shapes_are_left():
    inputs = {"x": normal(1, 6, 20), "image": i64(5, 7), "block": i64(2, 3)}
    model = node_model("Col2Im", inputs, stored=["block"], ranks={"y": 4})
    reason = "the image's shape or the block's is not stored in the model"
    assert reason_against(ExpandCol2Im, model) == reason
