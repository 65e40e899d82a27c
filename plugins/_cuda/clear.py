"""The host side of clear.cu: write zeros before a launch that overlaps."""

from __future__ import annotations

from pluginkit import CudaKernel, Launch, TensorDesc, Workspace, ceil_div, int64

_WORD_BYTES = 4
#: The threads of a block, and the vectors of four words of a thread.
_THREADS, _VECTORS = 256, 4

#: The constants that clear.cu shares with Python.
DEFINES = {"CLEAR_THREADS": _THREADS, "CLEAR_VECTORS": _VECTORS}


def clear_launch(kernel: CudaKernel, target: TensorDesc | Workspace) -> Launch:
    """Return the launch of ``clear`` that writes zeros to words of 4 bytes."""
    words = target.nbytes // _WORD_BYTES
    return Launch(
        kernel, ceil_div(words, 4 * _THREADS * _VECTORS), _THREADS, (target, int64(words))
    )
