"""Turn an STFT that TensorRT refuses into a convolution with the waves of the transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluginkit.onnx import FLOATS, Match, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class _Frames:
    """How the frames of a signal are transformed.

    Attributes:
        step: the distance of two frames.
        length: the number of elements of a frame.
        columns: the number of frequencies.
        parts: 1 if the signal is real, 2 if it is complex.
        has_parts: whether the signal has an axis for its parts.
    """

    step: int
    length: int
    columns: int
    parts: int
    has_parts: bool

    def waves(self) -> npt.NDArray[np.float64]:
        """Return the kernels, [frequencies * 2, parts, length]: real, then imaginary results."""
        turns = np.outer(np.arange(self.columns), np.arange(self.length)) % self.length
        cos, sin = np.cos(angle := 2 * np.pi / self.length * turns), np.sin(angle)
        waves: npt.NDArray[Any] = np.stack(
            [np.stack([cos, sin], 1), np.stack([-sin, cos], 1)], 1
        )  # [frequencies, result's part, signal's part, length]
        return waves.reshape(2 * self.columns, 2, self.length)[:, : self.parts]


class ExpandStft(Rewrite):
    """STFT(x, step, window) -> Conv(x, waves * window), the real and the imaginary parts apart.

    Where the window is computed or an input of the model, or the signal is complex: TensorRT takes
    real signals and stored windows. The step and the length of a frame must be known; the work of
    each frame grows with the square of its length.
    """

    pattern = Op("STFT", "x", "step", Optional("window"), Optional("length"))

    def check(
        self,
        match: Match,
        x: gs.Tensor,
        step: gs.Tensor,
        window: gs.Tensor | None,
        length: gs.Tensor | None,
    ) -> str | _Frames:
        shape = match.shape(x)
        if shape is None or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] is None):
            return "it is not known whether its signal is real or complex"
        parts = 1 if len(shape) == 2 else int(shape[2] or 0)
        is_stored = window is None or match.constant(window) is not None
        if parts == 1 and (is_stored or (window is not None and match.is_external(window))):
            return "TensorRT takes it: its signal is real, and its window stored"
        is_half = match.attribute("onesided", 1) == 1
        if parts == 2 and is_half:
            return "it wants half the spectrum of a complex signal"
        distance, size = match.constant(step), _length(match, window, length)
        if distance is None or not size:
            return "its step or the length of its frames is not known"
        columns = size // 2 + 1 if is_half else size
        frames = _Frames(int(distance.item()), size, columns, parts, len(shape) == 3)
        return match.dtype_problem(FLOATS, x) or frames

    def rewrite(
        self,
        match: Match,
        facts: _Frames,
        x: gs.Tensor,
        step: gs.Tensor,
        window: gs.Tensor | None,
        length: gs.Tensor | None,
    ) -> list[gs.Node]:
        new = Replacement(match)
        axes = [0, 2, 1]
        signal = new.add("Transpose", x, perm=axes) if facts.has_parts else new.unsqueeze(x, [1])
        waves = new.cast(facts.waves(), match.dtype(x))
        kernel = waves if window is None else new.add("Mul", waves, window)
        spectra = new.add("Conv", signal, kernel, strides=[facts.step])
        rows = new.add("Transpose", spectra, perm=axes)
        shape = np.array([0, 0, facts.columns, 2], np.int64)
        return new.end("Reshape", rows, shape)


def _length(match: Match, window: gs.Tensor | None, length: gs.Tensor | None) -> int | None:
    """Return the length of a frame; None if it is unknown, or another than that of the window."""
    of_window = None if window is None else (match.shape(window) or (None,))[0]
    if length is None:
        return of_window
    stored = match.constant(length)
    known = None if stored is None else int(stored.item())
    return known if of_window in (None, known) else None
