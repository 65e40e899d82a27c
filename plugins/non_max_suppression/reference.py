"""NonMaxSuppression in numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def non_max_suppression(
    boxes: Array,
    scores: Array,
    limit: Array | None,
    iou_threshold: Array | None,
    score_threshold: Array | None,
    *,
    most: int | None = None,
    is_center: bool = False,
) -> npt.NDArray[np.int64]:
    """Return batch, class and box of each chosen box of ``boxes`` (B, N, 4), as a row.

    Args:
        boxes: corners y1, x1, y2, x2; or x and y of the centre, width and height.
        scores: of shape (B, C, N).
        limit: how many boxes of a class may be chosen; None for none.
        iou_threshold: boxes that overlap a chosen one by more are dropped; None for 0.
        score_threshold: only boxes with a higher score count; None for all.
        most: another limit.
        is_center: which of the two forms boxes have.
    """
    wanted = 0 if limit is None else int(limit.item())
    wanted = wanted if most is None else min(wanted, most)
    iou = np.float32(0) if iou_threshold is None else iou_threshold.ravel()[0]
    rows = [
        (batch, label, box)
        for batch in range(scores.shape[0])
        for label in range(scores.shape[1])
        for box in _chosen(
            _edges(boxes[batch], is_center),
            _ordered(scores[batch, label], score_threshold),
            wanted,
            iou,
        )
    ]
    return np.array(rows, np.int64).reshape(-1, 3)


def _ordered(scores: Array, threshold: Array | None) -> Array:
    """Return the boxes that count, by descending score; NaN comes last."""
    counted = np.arange(scores.size) if threshold is None else np.flatnonzero(scores > threshold)
    order = np.argsort(-scores[counted], kind="stable")
    return counted[order]


def _edges(boxes: Array, is_center: bool) -> tuple[Array, Array]:
    """Return the lower and the upper corners."""
    with np.errstate(over="ignore", invalid="ignore"):
        if is_center:
            half = boxes[:, 2:] / np.float32(2)
            return boxes[:, :2] - half, boxes[:, :2] + half
        return np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])


def _chosen(
    edges: tuple[Array, Array], order: Array, most: int, threshold: np.float32
) -> Iterator[int]:
    low, high = edges
    for _ in range(most):
        if not order.size:
            return
        best, order = order[0], order[1:]
        yield int(best)
        iou = _intersection_over_union(low[best], high[best], low[order], high[order])
        order = order[~(iou > threshold)]


def _intersection_over_union(low: Array, high: Array, lows: Array, highs: Array) -> Array:
    """Return how much a box overlaps each of others; NaN where it does not."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        sides = np.minimum(high, highs) - np.maximum(low, lows)
        common = sides[:, 0] * sides[:, 1]
        area, areas = np.prod(high - low), np.prod(highs - lows, axis=1)
        union = area + areas - common
        overlaps = (sides > 0).all(axis=1) & (common > 0) & (area > 0) & (areas > 0) & (union > 0)
        return np.where(overlaps, common / union, np.float32(np.nan))
