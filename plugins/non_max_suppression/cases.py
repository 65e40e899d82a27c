"""Sample calls of NonMaxSuppression."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pluginkit import Case


def non_max_suppression_cases() -> Iterator[Case]:
    """Yield both forms of boxes, ties, every sort and chunk, and what is empty."""
    for name, shape, most, iou, score, attributes in (
        ("one_class", (1, 1, 37), 10, 0.3, 0.2, {}),
        ("classes", (2, 3, 70), 8, 0.5, 0.4, {"most_boxes": 8}),
        ("centers", (1, 2, 150), 40, 0.25, 0.1, {"center_point_box": 1}),
        ("no_score_threshold", (1, 2, 65), 2**63 - 1, 0.5, None, {}),
        ("any_overlap", (1, 1, 90), 90, None, 0.5, {}),
        ("none_above", (2, 2, 20), 5, 0.5, 2.0, {}),
        ("size_one", (1, 1, 1), 1, 0.5, 0.0, {}),
        ("fewer_than_most", (1, 1, 20), 30, 0.5, 0.0, {"most_boxes": 50}),
        ("no_boxes", (1, 2, 0), 5, 0.5, 0.1, {}),
        ("no_classes", (1, 0, 5), 5, 0.5, 0.1, {}),
        ("none_wanted", (1, 1, 9), 0, 0.5, 0.1, {}),
        ("no_limit_given", (1, 1, 9), None, 0.5, 0.1, {}),
        ("merged", (1, 1, 2100), 2100, 0.5, 0.55, {}),
    ):
        boxes, scores = _draw(*shape, is_center=bool(attributes.get("center_point_box")))
        yield Case(
            name,
            [
                boxes,
                scores,
                None if most is None else np.array([most], np.int64),
                None if iou is None else np.array([iou], np.float32),
                None if score is None else np.array(score, np.float32),
            ],
            attributes,
        )


def _draw(
    batches: int, classes: int, count: int, *, is_center: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Draw boxes, corners in any order, and scores that are often equal."""
    rng = np.random.default_rng(11)
    center = rng.uniform(0, 8, (batches, count, 2))
    size = rng.uniform(0.5, 4, (batches, count, 2))
    flip = rng.choice([-1, 1], (batches, count, 2))
    corners = [center - flip * size / 2, center + flip * size / 2]
    boxes = np.concatenate([center, size] if is_center else corners, axis=2)
    scores = rng.integers(0, 64, (batches, classes, count)) / 64
    return boxes.astype(np.float32), scores.astype(np.float32)
