"""Where a driver that plays TensorRT's part puts tensors: on a GPU, or in host memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


class TensorMemory(Protocol):
    """Where the driver puts tensors for ``enqueue``."""

    def upload(self, array: Array) -> Any:
        """A buffer that holds a copy of ``array``."""

    def empty(self, nbytes: int) -> Any:
        """A buffer of ``nbytes`` bytes with arbitrary content."""

    def pointer(self, buffer: Any) -> int:
        """The address of a buffer."""

    def download(self, buffer: Any) -> bytes:
        """The content of a buffer, once the stream has finished."""

    @property
    def stream(self) -> int:
        """The ``cudaStream_t``."""


class CupyMemory:
    """Tensors on the current GPU, with a stream of their own."""

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy
        self._stream = cupy.cuda.Stream(non_blocking=True)

    def upload(self, array: Array) -> Any:
        import numpy as np

        buffer = self._cupy.asarray(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        self._cupy.cuda.Device().synchronize()
        return buffer

    def empty(self, nbytes: int) -> Any:
        buffer = self._cupy.full(nbytes, 0xA5, self._cupy.uint8)
        self._cupy.cuda.Device().synchronize()
        return buffer

    def pointer(self, buffer: Any) -> int:
        return int(buffer.data.ptr)

    def download(self, buffer: Any) -> bytes:
        self._stream.synchronize()
        return bytes(buffer.get().tobytes())

    @property
    def stream(self) -> int:
        return int(self._stream.ptr)


class HostMemory:
    """Tensors in host memory, for plugins whose ``enqueue`` works there."""

    stream = 0

    def upload(self, array: Array) -> Array:
        import numpy as np

        return np.array(array, order="C")

    def empty(self, nbytes: int) -> Array:
        import numpy as np

        return np.full(nbytes, 0xA5, np.uint8)

    def pointer(self, buffer: Array) -> int:
        return int(buffer.ctypes.data)

    def download(self, buffer: Array) -> bytes:
        return buffer.tobytes()
