"""Store the matrix of MelWeightMatrix, which TensorRT lacks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from pluginkit.onnx import Match, Op, Replacement, Rewrite

_INPUTS = ("mels", "length", "rate", "low", "high")
_LARGEST = 2**24


class StoreMelWeights(Rewrite):
    """MelWeightMatrix(mels, length, rate, low, high) -> Cast(the matrix).

    All five inputs must be stored in the model.
    """

    pattern = Op("MelWeightMatrix", *_INPUTS)

    def check(self, match: Match) -> str | npt.NDArray[np.float32]:
        stored = [match.constant(match[name]) for name in _INPUTS]
        given = [float(each.item()) for each in stored if each is not None and each.size == 1]
        if len(given) < len(_INPUTS):
            return "an input is not stored in the model; store the number, or the matrix itself"
        mels, length, rate, low, high = given
        if min(mels, length, rate) < 1 or not 0 <= low < high <= rate / 2:
            return "its numbers are not positive, or its frequencies are not below half the rate"
        rows = int(length) // 2 + 1
        if mels * rows > _LARGEST:
            return f"its matrix would have {int(mels) * rows} elements; expected up to {_LARGEST}"
        edges = np.floor((length + 1) * _edges(int(mels), low, high) / rate)
        return _triangles(rows, edges)

    def rewrite(self, match: Match, facts: npt.NDArray[np.float32]) -> list[gs.Node]:
        dtype = match.dtype_attribute("output_datatype") or "float32"
        return Replacement(match).end("Cast", facts, to=dtype)


def _edges(mels: int, low: float, high: float) -> npt.NDArray[np.float64]:
    """Return the frequencies, in hertz, where the bands of the mel scale begin and end."""
    first, last = (2595 * np.log10(1 + np.float64(edge) / 700) for edge in (low, high))
    steps = first + np.arange(mels + 2) * ((last - first) / (mels + 2))
    edges: npt.NDArray[np.float64] = 700 * (10 ** (steps / 2595) - 1)
    return edges


def _triangles(rows: int, edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return a column for each three edges, which rises to 1 at the second and falls to 0."""
    row = np.arange(rows, dtype=np.float32)[:, None]
    first, middle, last = (edges[at : len(edges) - 2 + at].astype(np.float32) for at in range(3))
    rises = (row >= first) & (row < middle)
    falls = (row > middle) & (row < last)
    up, down = np.maximum(middle - first, 1), np.maximum(last - middle, 1)
    inside = np.where(rises, (row - first) / up, np.where(falls, (last - row) / down, 0))
    return np.where(row == middle, np.float32(1), inside).astype(np.float32)
