"""Open NVTX ranges, which Nsight Systems shows above what the GPU did in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

#: Opens a range of a name, as a context manager.
OpenNvtxRange = Callable[[str], AbstractContextManager[object]]


def nvtx_ranges() -> tuple[OpenNvtxRange, str]:
    """Return what opens a range, and the package that does: ``"nvtx"``, ``"cupy"`` or ""."""
    try:
        import nvtx

        return nvtx.annotate, "nvtx"
    except ImportError:
        pass
    try:
        from cupy.cuda import nvtx as cupy_nvtx

        if cupy_nvtx.available:
            return _with_cupy(cupy_nvtx), "cupy"
    except ImportError:
        pass
    return no_range, ""


def no_range(name: str) -> AbstractContextManager[object]:
    """Open nothing."""
    return nullcontext()


def _with_cupy(module: object) -> OpenNvtxRange:
    @contextmanager
    def open_range(name: str) -> Iterator[None]:
        module.RangePush(name)  # type: ignore[attr-defined]
        try:
            yield
        finally:
            module.RangePop()  # type: ignore[attr-defined]

    return open_range
