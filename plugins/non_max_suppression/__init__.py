"""NonMaxSuppression, whose number of boxes depends on data, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from pluginkit import (
    Case,
    CudaKernel,
    Dim,
    Input,
    InputError,
    OnnxOp,
    Output,
    Plugin,
    Shape,
    SizeOutput,
    Step,
    TensorDesc,
    attribute,
    dim_min,
    float32,
    int64,
)
from pluginkit.plugins.non_max_suppression.cases import non_max_suppression_cases
from pluginkit.plugins.non_max_suppression.launches import (
    DEFINES,
    MOST_BOXES,
    NonMaxSuppressionLaunches,
    NonMaxSuppressionProblem,
)
from pluginkit.plugins.non_max_suppression.reference import non_max_suppression

_CENTER = {"CENTER": (False, True)}


class NonMaxSuppression(Plugin):
    """Choose boxes by descending score, and drop those that overlap a chosen one too much.

    A box of a class is chosen unless its intersection over union with a box of that class chosen
    before exceeds iou_threshold. Equal scores are taken in the order of their boxes.

    A box may be given by any two opposite corners. Boxes without an area and boxes with a NaN
    overlap nothing. NaN exceeds no score_threshold; without one, NaN scores come last, which ONNX
    leaves open. Thresholds are compared in float32, after one rounding of each operation, as in
    ONNX Runtime: results are the same at equality too.

    Inputs:      boxes: (B, N, 4) float32, linear: y1, x1, y2, x2, or x and y of the centre, width,
                 height.
                 scores: (B, C, N) float32, linear.
                 max_output_boxes_per_class: int64, one element; absent or negative: 0.
                 iou_threshold: float32, one element; absent: 0.
                 score_threshold: float32, one element; only boxes with a score above it count.
    Outputs:     selected_indices: (selected, 3) int64: batch, class, box; in ascending order of
                 batch and class, and as chosen within a class.
                 selected: int32, the size output; at most B * C * min(N, most_boxes).
    Attributes:  center_point_box: 0 | 1, default 0: corners.
                 most_boxes: int | None, >= 0: an upper bound of max_output_boxes_per_class that
                 shapes and memory may count on; a larger value counts as this one.
    Workspace:   8 bytes for each score, 16 where N exceeds 2048; 4 for each box that may be chosen;
                 up to 65 MiB of masks, or 8 KiB for each class of more than 2048.
    Tolerance:   exact.
    Errors:      PK124 boxes and scores do not fit each other. shapes: a limit or a threshold is not
                 one number. size: there are 2^31 scores or more, or more than 65535 * 256
                 boxes in an image.
    Source:      ONNX NonMaxSuppression-11.
    """

    onnx_op = OnnxOp("NonMaxSuppression", since=11)

    center_point_box: Literal[0, 1] = attribute(default=0, doc="1: a centre, a width and a height")
    most_boxes: int | None = attribute(
        default=None,
        check=lambda value: None if value is None or value >= 0 else "expected 0 or more",
        doc="the most boxes of a class, known in advance",
    )

    boxes = Input(float32, shape=("B", "N", 4))
    scores = Input(float32, shape=("B", "C", "N"))
    max_output_boxes_per_class = Input(int64, optional=True, ranks=(0, 1))
    iou_threshold = Input(float32, optional=True, ranks=(0, 1))
    score_threshold = Input(float32, optional=True, ranks=(0, 1))
    selected_indices = Output(int64)
    selected = SizeOutput()

    tile_kernel = CudaKernel("sort.cu", "sort_tiles", defines=DEFINES)
    merge_kernel = CudaKernel("sort.cu", "merge_runs", defines=DEFINES)
    compare_kernel = CudaKernel("suppress.cu", "compare<{CENTER}>", _CENTER, defines=DEFINES)
    choose_kernel = CudaKernel("suppress.cu", "choose", defines=DEFINES)
    write_kernel = CudaKernel("suppress.cu", "write_indices", defines=DEFINES)

    def check(self, boxes: TensorDesc, scores: TensorDesc, *numbers: TensorDesc | None) -> None:
        """Check that a limit and thresholds are numbers, and that scores are not too many."""
        for number in numbers:
            if number is not None and number.size != 1:
                raise InputError(f"{number}; expected one element.", code="shapes")
        if scores.size >= 2**31:
            raise InputError(f"{scores} has 2^31 elements or more.", code="size")
        if scores.shape[2] > MOST_BOXES:
            raise InputError(
                f"{scores} has {scores.shape[2]} boxes in an image; expected at most {MOST_BOXES}.",
                code="size",
            )

    def output_shapes(
        self, boxes: TensorDesc, scores: TensorDesc, limit: TensorDesc | None, *_: TensorDesc | None
    ) -> Shape:
        """Return a row for each box that is chosen."""
        batches, classes, count = scores.shape
        most = count if self.most_boxes is None else dim_min(count, self.most_boxes)
        return self.selected.up_to(0 if limit is None else batches * classes * most), 3

    def workspace_bytes(self, boxes: TensorDesc, scores: TensorDesc, *_: TensorDesc | None) -> Dim:
        """Return room for sorted scores, masks of overlaps and chosen boxes."""
        return sum(NonMaxSuppressionProblem.of(scores, self.most_boxes).sizes())

    def launches(self, *tensors: Any) -> Sequence[Step]:
        """Return the launches that sort, those that choose in chunks, and one that writes."""
        return list(NonMaxSuppressionLaunches(self, *tensors).all())

    def reference(self, *inputs: Any) -> np.ndarray:
        """Compute the same in numpy; see reference.py."""
        center = bool(self.center_point_box)
        return non_max_suppression(*inputs, most=self.most_boxes, is_center=center)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield both forms of boxes, ties, every sort and chunk, and what is empty."""
        return non_max_suppression_cases()
