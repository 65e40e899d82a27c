"""The mask of tf.repeat, as wide as the largest of the repeats, is not made."""

import numpy as np
import onnx
import pytest

from pluginkit import BuildOptions, build_engine
from pluginkit.graph_rewrites.expand_repeat_mask import ExpandRepeatMask
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run
from tests.graph_rewrites.test_fold_known import model_of, op_types

TEXT = """ g (float[N, 3] x, int64[N] repeats) => (float[A, 3] y, int64[B, A] found)
<int64 zero = {0}, int64 one = {1}, int64[1] flat = {-1}, int64[1] axis = {1}, int64[1] front = {0},
 int64[3] copies = {1, 1, 1}, int64[2] rows = {-1, 3}>
{ largest = ReduceMax<keepdims = 0>(repeats) limit = Max(largest, zero)
  steps = Range(zero, limit, one) wide = Unsqueeze(repeats, flat) mask = Less(steps, wide)
  flags = Reshape(mask, flat) found = NonZero(flags)
  size = Reshape(limit, flat) apart = Unsqueeze(x, axis) tile = Concat<axis = 0>(axis, size, axis)
  all = Tile(apart, tile) each = Reshape(all, rows) places = Squeeze(found, front)
  y = Gather<axis = 0>(each, places) }"""
REPEATS = ([2, 0, 3, 1], [0, 0, 1], [5], [3, 3], [-2, 4, -1])


def repeat_model(text=TEXT):
    return model_of(text)


def fed(repeats):
    x = np.arange(3 * len(repeats), dtype=np.float32).reshape(-1, 3)
    return {"x": x, "repeats": np.array(repeats)}


@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace(
            "steps = Range(zero, limit, one)",
            "line = Range(zero, limit, one) steps = Unsqueeze(line, front)",
        ),
        TEXT.replace("Max(largest, zero)", "Min(largest, axis_number)").replace(
            "int64[1] front", "int64 axis_number = {2}, int64[1] front"
        ),
    ],
    ids=["numbers", "numbers in a row", "fewer than the largest"],
)
def test_places_are_those_of_the_mask(text, repeats):
    model = repeat_model(text)
    result = rewrite_model(model, [ExpandRepeatMask])
    assert "NonZero" not in op_types(result.model)
    feeds = fed(repeats)
    if max(repeats) < 0:
        feeds["repeats"] = np.abs(feeds["repeats"])
    for expected, got in zip(run(model, feeds), run(result.model, feeds), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, [ExpandRepeatMask]).applied == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Range(zero,", "Range(one,", "its numbers do not begin at 0, or are not one apart"),
        (
            "Unsqueeze(repeats, flat)",
            "Unsqueeze(repeats, front)",
            "its repeats are not compared along another axis than the numbers",
        ),
        (
            "limit = Max(largest, zero)",
            "count = Shape<start = 0, end = 1>(x) limit = Squeeze(count, front)",
            "its limit is not computed by a ReduceMax: TensorRT knows a size of other masks",
        ),
    ],
    ids=["begin", "axis", "limit"],
)
def test_other_masks_stay(old, new, reason):
    model = repeat_model(TEXT.replace(old, new))
    result = rewrite_model(model, [ExpandRepeatMask])
    assert result.model == model
    (refused,) = result.refused
    assert refused.reason == reason


@pytest.mark.trt
@pytest.mark.slow
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(repeat_model(), path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])
    shapes = {"x": "1x3,4x3,9x3", "repeats": "1,4,9"}
    built = build_engine(path, tmp_path / "m.plan", options=options, shapes=shapes)
    assert built.manifest.plugins == ()
