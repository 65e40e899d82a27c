"""NonMaxSuppression on a real GPU: every sort and chunk, hostile boxes, ties, limits."""

from __future__ import annotations

import numpy as np
import pytest

from pluginkit.checking.trt_double.driver import drive
from pluginkit.contract import calls
from pluginkit.plugins.non_max_suppression import NonMaxSuppression

pytestmark = [pytest.mark.gpu, pytest.mark.trt]


def boxes_of(kind, count, seed=0, images=1):
    rng = np.random.default_rng(seed)
    shape = (images, count, 2)
    if kind == "none":
        low = np.broadcast_to(
            np.stack([np.arange(count) % 211, np.arange(count) // 211], -1), shape
        )
        low, high = 2.0 * low, 2.0 * low + 1
    elif kind == "all":
        low = rng.random(shape)
        high = low + 100
    else:
        low = rng.random(shape) * 640
        high = low + 16 + rng.random(shape) * 100
    flip = rng.random(shape) < 0.5
    corners = np.where(flip, high, low), np.where(flip, low, high)
    return np.concatenate(corners, axis=2).astype(np.float32)


def assert_right(lean, boxes, scores, most=2**40, iou=0.5, score=None, **attributes):
    numbers = [np.array([most]), np.array([iou], np.float32)]
    numbers += [] if score is None else [np.array([score], np.float32)]
    names = [port.name for port in NonMaxSuppression.spec.inputs]
    plugin = NonMaxSuppression(**attributes).with_inputs(*names[: 2 + len(numbers)])
    arrays = [boxes, scores.astype(np.float32), *numbers]
    got = drive(plugin, arrays, interface="v3", flavour=lean)
    for one, wanted in zip(got, calls.run_reference(plugin, arrays), strict=True):
        np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize("kind", ["random", "all", "none"])
@pytest.mark.parametrize(
    "count", [1, 63, 64, 65, 1000, 2047, 2048, 2049, 4741, 8400, 10_240, 10_241, 16_385, 20_000]
)
def test_sizes(lean, count, kind):
    scores = np.random.default_rng(1).random((1, 1, count))
    assert_right(lean, boxes_of(kind, count), scores)


@pytest.mark.parametrize("most", [1, 300, 2048, 2049, 5000])
@pytest.mark.parametrize("kind", ["random", "none"])
def test_limits(lean, kind, most):
    scores = np.random.default_rng(2).random((1, 1, 30_000))
    assert_right(lean, boxes_of(kind, 30_000), scores, most)
    assert_right(lean, boxes_of(kind, 30_000), scores, most, most_boxes=most)


@pytest.mark.parametrize("distinct", [1, 3, 1000])
def test_equal_scores(lean, distinct):
    scores = np.random.default_rng(3).integers(0, distinct, (1, 1, 20_000)) / distinct
    assert_right(lean, boxes_of("random", 20_000), scores)


@pytest.mark.parametrize(
    ("images", "classes", "count"), [(1, 80, 8400), (16, 20, 2000), (3, 400, 150), (2, 3000, 40)]
)
@pytest.mark.parametrize("score", [None, 0.95])
def test_many_classes(lean, images, classes, count, score):
    scores = np.random.default_rng(4).random((images, classes, count))
    assert_right(lean, boxes_of("random", count, images=images), scores, 40, 0.4, score)


def test_a_hundred_thousand_boxes(lean):
    scores = np.random.default_rng(5).random((1, 1, 100_000))
    assert_right(lean, boxes_of("random", 100_000), scores, most=5000)
    assert_right(lean, boxes_of("all", 100_000), scores)
    assert_right(lean, boxes_of("random", 100_000), scores, score=2.0)


def test_centers(lean):
    rng = np.random.default_rng(6)
    boxes = np.concatenate([rng.random((1, 5000, 2)) * 300, 8 + rng.random((1, 5000, 2)) * 30], 2)
    scores = rng.random((1, 2, 5000))
    assert_right(lean, boxes.astype(np.float32), scores, 1000, 0.3, 0.1, center_point_box=1)
