"""Hold tensors in the memory of a GPU or of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

#: What fresh memory holds, so that an element that nobody writes is noticed.
_FRESH = 0xA5


class TensorMemory:
    """The place where a driver that plays TensorRT's part puts tensors.

    Attributes:
        stream: the ``cudaStream_t`` on which an enqueue works; 0 on the host.
    """

    stream = 0

    def allocate(self, nbytes: int) -> Any:
        """Return a buffer with arbitrary content."""
        raise NotImplementedError

    def pointer(self, buffer: Any) -> int:
        """Return the address of a buffer."""
        raise NotImplementedError

    def write(self, buffer: Any, data: bytes) -> None:
        """Copy ``data`` into a buffer, and return when that is done."""
        raise NotImplementedError

    def download(self, buffer: Any) -> bytes:
        """Return the content of a buffer, once the stream has finished."""
        raise NotImplementedError

    def empty(self, nbytes: int) -> Any:
        """Return a buffer in which every byte is 0xA5."""
        buffer = self.allocate(nbytes)
        self.write(buffer, bytes([_FRESH]) * nbytes)
        return buffer

    def upload(self, array: Array) -> Any:
        """Return a buffer that holds a copy of ``array``."""
        buffer = self.allocate(array.nbytes)
        self.write(buffer, array.tobytes())
        return buffer


class CupyMemory(TensorMemory):
    """The memory of the current GPU, with a non-blocking stream.

    Attributes:
        cupy: the module.
        queue: the stream as cupy has it.
    """

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy
        self.queue = cupy.cuda.Stream(non_blocking=True)
        self.stream = int(self.queue.ptr)

    def allocate(self, nbytes: int) -> Any:
        return self.cupy.empty(nbytes, self.cupy.uint8)

    def pointer(self, buffer: Any) -> int:
        return int(buffer.data.ptr)

    def write(self, buffer: Any, data: bytes) -> None:
        import numpy as np

        buffer.set(np.frombuffer(data, np.uint8))
        self.cupy.cuda.Device().synchronize()

    def download(self, buffer: Any) -> bytes:
        self.queue.synchronize()
        return bytes(buffer.get().tobytes())


class HostMemory(TensorMemory):
    """Host memory, for plugins whose ``enqueue`` works there."""

    def allocate(self, nbytes: int) -> Array:
        import numpy as np

        return np.empty(nbytes, np.uint8)

    def pointer(self, buffer: Array) -> int:
        return int(buffer.ctypes.data)

    def write(self, buffer: Array, data: bytes) -> None:
        import numpy as np

        buffer[:] = np.frombuffer(data, np.uint8)

    def download(self, buffer: Array) -> bytes:
        return buffer.tobytes()
