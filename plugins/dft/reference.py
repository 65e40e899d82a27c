"""Dft in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def dft(x: Array, axis: int, length: int, is_inverse: bool, is_onesided: bool) -> Array:
    """Transform real or complex numbers (..., parts) along an axis, in float64."""
    wide = np.moveaxis(x.astype(np.float64), axis, -2)
    numbers = wide[..., 0] + 1j * wide[..., 1] if wide.shape[-1] == 2 else wide[..., 0] + 0j
    is_real = is_inverse and is_onesided
    used = numbers[..., : length // 2 + 1 if is_real else length]
    is_lost: Array = np.any(~np.isfinite(used), axis=-1)
    used = np.where(is_lost[..., None], 0, used)
    if is_real:
        values = np.fft.irfft(used, length)[..., None]
    else:
        spectrum = np.fft.ifft(used, length) if is_inverse else np.fft.fft(used, length)
        if is_onesided:
            spectrum = spectrum[..., : length // 2 + 1]
        values = np.stack([spectrum.real, spectrum.imag], axis=-1)
    values[is_lost] = np.nan
    return np.moveaxis(values, -2, axis).astype(x.dtype)
