"""Check the shapes of a NonMaxSuppression."""

from __future__ import annotations

from collections.abc import Iterable

from pluginkit import InputError, TensorDesc


def check_shapes(
    boxes: TensorDesc, scores: TensorDesc, numbers: Iterable[TensorDesc | None]
) -> None:
    """Check that there is a score for each box, and that a limit or a threshold is one number.

    Errors:
        shapes: they do not fit each other.  size: there are 2^31 scores or more.
    """
    for number in numbers:
        if number is not None and number.size != 1:
            raise InputError(f"{number}; expected one element.", code="shapes")
    if boxes.shape[2] != 4 or boxes.shape[:2] != scores.shape[::2]:
        raise InputError(
            f"{boxes} and {scores}; expected (batches, boxes, 4) and (batches, classes, boxes).",
            code="shapes",
        )
    if scores.size >= 2**31:
        raise InputError(f"{scores} has 2^31 elements or more.", code="size")
