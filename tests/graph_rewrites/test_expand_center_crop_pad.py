import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_center_crop_pad import ExpandCenterCropPad
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import i64, node_model, normal


def model_of(x, shape, stored=("shape",), **options):
    return node_model("CenterCropPad", {"x": x, "shape": i64(*shape)}, stored=stored, **options)


@pytest.mark.parametrize("size", [1, 2, 6, 7, 8, 9, 10, 13])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.bool_])
def test_the_odd_one_is_at_the_end(size, dtype):
    x = np.arange(1, 8).astype(dtype)
    (got,) = outputs_of(ExpandCenterCropPad, model_of(x, [size]), {"x": x})
    start = abs(size - 7) // 2
    if size <= 7:
        expected = x[start : start + size]
    else:
        expected = np.zeros(size, dtype)
        expected[start : start + 7] = x
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("axes", [[0, 2], [-3, -1]])
def test_each_axis_has_its_own_size_and_the_others_stay(axes):
    x = normal(5, 3, 4)
    model = model_of(x, [2, 7], axes=axes, dims={"x": [5, "n", 4]})
    (got,) = outputs_of(ExpandCenterCropPad, model, {"x": x})
    expected = np.pad(x[1:3], [(0, 0), (0, 0), (1, 2)])
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"stored": (), "ranks": {"y": 2}}, "its shape is not stored in the model"),
        ({"dims": {"x": ["n", 4]}}, "the size of one of its axes is unknown"),
    ],
)
def test_unknown_sizes_are_left(options, reason):
    model = model_of(normal(3, 4), [2, 2], **options)
    assert reason_against(ExpandCenterCropPad, model) == reason
