"""Turn Mask R-CNN's exported loop, which pastes masks into an image, into products."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites._loop_probes import RowLoop, row_loop, size_in_loop
from pluginkit.onnx import Match, NodeInput, Op, Replacement, Rewrite

_Floats = npt.NDArray[np.float32]
_Pasting = tuple[str, str, int, int]


class ExpandMaskPasting(Rewrite):
    """Loop over boxes: Concat(images, paste of Resize(mask)) -> MatMul(rows, masks, columns).

    torchvision writes this loop for masks (N, 1, S, S) and boxes (N, 4) of whole pixels: each mask
    is resized to its box and put into an image of zeros. TensorRT does not support a Resize to a
    size that depends on data. The box gives the weight of each row and column of its mask in each
    row and column of the image, so that two products compute the image.

    To recognise the loop, onnx's own evaluator runs its body on some masks and boxes, and the
    results are compared. The number of boxes may depend on data; the image's size must be stored.
    """

    pattern = Op("Loop")
    #: Before sizes are stored and equal nodes merged: the loop is recognised by what it reads.
    order = -6

    def check(self, match: Match) -> str | _Pasting:
        loop = row_loop(match)
        if isinstance(loop, str):
            return f"it is no loop that pastes masks: {loop}"
        found = _pasting(match, loop)
        return found or "it is no loop that pastes masks: its body computes something else"

    def rewrite(self, match: Match, facts: _Pasting) -> list[gs.Node]:
        masks, boxes = gs.Variable(facts[0]), gs.Variable(facts[1])
        new = Replacement(match)
        first, count = np.zeros(1, np.int64), new.unsqueeze(match.inputs[0], [0])
        masks = new.squeeze(new.add("Slice", masks, first, count, first), [1])
        boxes = new.add("Slice", boxes, first, count, first)
        side = new.add("Cast", new.slice(new.add("Shape", masks), 0, 1, 2), to="float32")
        rows = _shares(new, boxes, 1, facts[2], side)
        columns = _shares(new, boxes, 0, facts[3], side)
        pasted = new.add("MatMul", new.add("MatMul", rows, masks), _swapped(new, columns))
        return new.end("Identity", pasted)


def _swapped(new: Replacement, value: NodeInput) -> gs.Variable:
    return new.add("Transpose", value, perm=[0, 2, 1])


def _shares(
    new: Replacement, boxes: NodeInput, axis: int, size: int, side: NodeInput
) -> gs.Variable:
    """Return the weight of each row of a mask in each row of the image: [N, size, S].

    Args:
        new: the new nodes.
        boxes: the boxes.
        axis: 0 for columns, 1 for rows.
        size: the size of the image.
        side: S, as a vector of one float32.
    """
    low = new.add("Cast", new.slice(boxes, 1, axis, axis + 1), to="float32")
    high = new.add("Cast", new.slice(boxes, 1, axis + 2, axis + 3), to="float32")
    one, half = np.array([1], np.float32), np.array([0.5], np.float32)
    length = new.add("Max", new.add("Add", new.add("Sub", high, low), one), one)  # [N, 1]
    pixels = np.arange(size, dtype=np.float32)[None]
    within = new.add("Add", new.add("Sub", pixels, low), half)
    at = new.add("Sub", new.add("Div", new.add("Mul", within, side), length), half)
    last = new.add("Sub", side, one)
    at = new.add("Min", new.add("Max", at, np.array([0], np.float32)), last)  # [N, size]
    scalar = new.add("Reshape", side, np.zeros(0, np.int64))
    numbers = new.add("Range", np.float32(0), scalar, np.float32(1))
    distance = new.add("Abs", new.add("Sub", new.unsqueeze(at, [2]), numbers))
    share = new.add("Relu", new.add("Sub", one, distance))
    is_before, is_after = new.add("Less", pixels, low), new.add("Greater", pixels, high)
    is_inside = new.add("Not", new.add("Or", is_before, is_after))
    inside = new.add("Cast", is_inside, to="float32")
    return new.add("Mul", share, new.unsqueeze(inside, [2]))


def _pasting(match: Match, loop: RowLoop) -> _Pasting | None:
    """Return the masks, the boxes and the image's height and width, if a loop pastes masks."""
    if len(loop.rows) != 2 or len(loop.pieces) != 1:
        return None
    by_type = {match.dtype(gs.Variable(name)): name for name in loop.rows}
    masks, boxes = by_type.get("float32"), by_type.get("int64")
    if masks is None or boxes is None or not any(n.op_type == "Resize" for n in loop.body.node):
        return None
    size: tuple[int, ...] | None = None
    for mask, box in _probes(size_in_loop(match, masks, 3, otherwise=6)):
        found = loop.piece_of({masks: mask, boxes: box})
        if found is None or found[0].ndim != 3 or found[0].shape[0] != 1:
            return None
        size = size or found[0].shape[1:]
        expected = _pasted(mask[0], box, size)
        if found[0].shape[1:] != size or not np.allclose(found[0][0], expected, atol=1e-5):
            return None
    return None if size is None else (masks, boxes, size[0], size[1])


def _probes(side: int) -> Iterator[tuple[_Floats, npt.NDArray[np.int64]]]:
    """Yield masks and boxes: small, larger than the mask, over an edge, and of one pixel."""
    rng = np.random.default_rng(0)
    for box in ([1, 2, 4, 7], [-3, -2, 5, 3], [2, 3, 2, 3], [0, 0, 11, 8], [3, -1, 9, 0]):
        yield rng.random((1, side, side), dtype=np.float32) + 1, np.array(box, np.int64)


def _pasted(mask: _Floats, box: npt.NDArray[np.int64], size: tuple[int, ...]) -> _Floats:
    """Return the image that a mask is pasted into, in numpy."""
    shares = []
    for axis, length in ((1, size[0]), (0, size[1])):
        low, high, side = box[axis], box[axis + 2], mask.shape[0]
        pixels = np.arange(length)
        at = np.clip((pixels - low + 0.5) * side / max(high - low + 1, 1) - 0.5, 0, side - 1)
        share = np.maximum(1 - abs(at[:, None] - np.arange(side)), 0)
        shares.append(share * ((pixels >= low) & (pixels <= high))[:, None])
    pasted: _Floats = (shares[0] @ mask @ shares[1].T).astype(np.float32)
    return pasted
