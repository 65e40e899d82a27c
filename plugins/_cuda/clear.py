"""The host side of clear.cu: write zeros before a launch that overlaps."""

from __future__ import annotations

from pluginkit import CudaKernel, Launch, TensorDesc, Workspace, ceil_div, int64

_THREADS, _WORD_BYTES, _WORDS = 256, 4, 4

#: The constants that clear.cu shares with Python.
DEFINES = {"CLEAR_THREADS": _THREADS}


def clear_launch(kernel: CudaKernel, target: TensorDesc | Workspace) -> Launch:
    """Return the launch of ``clear`` that writes zeros to words of 4 bytes."""
    words = target.nbytes // _WORD_BYTES
    return Launch(kernel, ceil_div(words, _THREADS * _WORDS), _THREADS, (target, int64(words)))
