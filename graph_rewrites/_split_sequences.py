"""Read how a SplitToSequence takes a tensor apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from pluginkit.graph_rewrites._upstream import attribute_of

_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class SplitSequence:
    """A SplitToSequence.

    Attributes:
        source: the tensor.
        axis: the axis, which may count from the end.
        lengths: the lengths of the elements along the axis, one number if they are equal; None if
            they are unknown.
        keeps_axis: whether the elements have the axis; None if that is unknown.
    """

    source: str
    axis: int
    lengths: _Array | None
    keeps_axis: bool | None

    @property
    def takes_each(self) -> bool:
        """Whether each element of the axis is known to be an element of the sequence."""
        return self.lengths is not None and bool((self.lengths == 1).all())


def split_sequence(
    node: onnx.NodeProto, find: Callable[[str], _Array | None], rank: int | None = None
) -> SplitSequence:
    """Return what a SplitToSequence says.

    keepdims counts without lengths and with one number, as in PyTorch's export of unbind and in
    ONNX Runtime, which refuses to remove an axis of another length than 1. ONNX says that any
    length overrides it.

    Args:
        node: the node.
        find: returns a value if it is known before the model runs, or None.
        rank: the rank of its lengths if their values are not known; None if it is unknown.
    """
    is_given = len(node.input) > 1 and bool(node.input[1])
    lengths = find(node.input[1]) if is_given else np.array(1)
    if lengths is not None:
        rank = lengths.ndim
    keeps_axis: bool | None = None if rank is None else rank > 0
    if attribute_of(node, "keepdims", 1):
        keeps_axis = True
    return SplitSequence(node.input[0], attribute_of(node, "axis", 0), lengths, keeps_axis)
