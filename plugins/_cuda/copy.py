"""The host side of copy.cu: copy data before a launch that overlaps."""

from __future__ import annotations

from pluginkit import Copy, CudaKernel, Launch, TensorDesc, ceil_div, int64, known

_VECTOR_BYTES = 16
#: The driver copies more bytes faster, and what comes next finds little of them in the cache.
_MOST_BYTES = 2**25
#: The threads of a block, and the vectors of a thread.
_THREADS, _VECTORS = 256, 4

#: The constants that copy.cu shares with Python.
DEFINES = {"COPY_THREADS": _THREADS, "COPY_VECTORS": _VECTORS}


def copy_step(kernel: CudaKernel, target: TensorDesc, source: TensorDesc) -> Launch | Copy:
    """Return the step that copies a tensor into one of its shape; ``kernel`` is ``copy_bytes``."""
    nbytes = known(source.nbytes)
    if nbytes > _MOST_BYTES:
        return Copy(target, source)
    blocks = ceil_div(nbytes, _VECTOR_BYTES * _THREADS * _VECTORS)
    return Launch(kernel, blocks, _THREADS, (target, source, int64(nbytes)))
