"""Compare every enqueue of a running program with the plugins' references."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.contract.tensors import TensorDesc
from pluginkit.errors import KernelError
from pluginkit.kernels.prepare import Prepared
from pluginkit.trt.adapter import AdapterCore
from pluginkit.trt.prepared_wrappers import wrapping_prepared

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    #: Reads ``nbytes`` bytes at a pointer, once the stream's work is done.
    ReadMemory = Callable[[int, int, int], bytes]


@dataclass(frozen=True)
class Difference:
    """The first element of a tensor that differs from the reference.

    Attributes:
        call: the number of the enqueue since the taps were opened, from 1.
        plugin, node, output: the plugin, node and output to which it belongs.
        element: its indices.
        got, expected: its values.
        elements: how many elements of this output differ.
    """

    call: int
    plugin: str
    node: str | None
    output: str
    element: tuple[int, ...]
    got: float
    expected: float
    elements: int

    def __str__(self) -> str:
        return (
            f"{self.plugin}, node '{self.node}', call {self.call}: "
            f"{self.output}{list(self.element)} is {self.got}; expected {self.expected} "
            f"({self.elements} elements differ)"
        )


@dataclass
class Taps:
    """The comparisons so far.

    Attributes:
        calls: how many enqueues were compared.
        skipped: how many could not be, because a CUDA graph was being captured.
        differences: the first one of each node and output, in order of occurrence.
        first_nan: the first NaN where the reference has none, or None.
    """

    calls: int = 0
    skipped: int = 0
    differences: list[Difference] = field(default_factory=list)
    first_nan: Difference | None = None


@contextmanager
def debug_taps(read: ReadMemory | None = None) -> Iterator[Taps]:
    """Compare each enqueue in the body with the plugin's reference.

    Slow: every call waits for its stream, copies inputs and outputs to the host and runs numpy.
    Engines may be loaded before or inside the body.

    Args:
        read: reads device memory; by default through the CUDA driver.

    Errors:
        PK250: at the end of the body, if an output differed by more than the plugin's tolerance.
    """
    taps = Taps()

    def tap(core: AdapterCore, prepared: Prepared, descs: Any) -> Prepared:
        inputs, outputs = descs
        return _TappedEnqueue(core, prepared, inputs, outputs, taps, read or _read_device)

    with wrapping_prepared(tap):
        yield taps
    if taps.differences:
        first, *others = taps.differences
        raise KernelError(
            "PK250",
            f"{first}.",
            cause="\n".join(map(str, others)) or None,
            fix="run plugincheck on the plugin with these shapes, then compute-sanitizer.",
        )


class _TappedEnqueue:
    """An enqueue that is compared with the reference afterwards."""

    def __init__(
        self,
        core: AdapterCore,
        prepared: Prepared,
        inputs: calls.Inputs,
        outputs: Sequence[TensorDesc],
        taps: Taps,
        read: ReadMemory,
    ) -> None:
        self._core = core
        self._prepared = prepared
        self._inputs = inputs
        self._outputs = outputs
        self._taps = taps
        self._read = read

    def enqueue(
        self, inputs: Sequence[int], outputs: Sequence[int], workspace: int, stream: int
    ) -> None:
        """Enqueue, wait, compare."""
        if self._read is _read_device and _is_capturing(stream):
            self._taps.skipped += 1
            self._prepared.enqueue(inputs, outputs, workspace, stream)
            return
        # Inputs are read first: TensorRT may give an output the memory of an input.
        arrays = [self._array(d, inputs, stream) for d in self._inputs if d is not None]
        self._prepared.enqueue(inputs, outputs, workspace, stream)
        written = [
            self._read(pointer, operator.index(desc.nbytes), stream)
            for desc, pointer in zip(self._outputs, outputs, strict=True)
        ]
        plugin = self._core.plugin
        results = calls.arrays_from_buffers(plugin, self._inputs, written)
        self._taps.calls += 1
        expected = calls.run_reference(plugin, arrays)
        for desc, got, wanted in zip(self._outputs, results, expected, strict=True):
            self._compare(desc, got, wanted)

    def _array(self, desc: TensorDesc, pointers: Sequence[int], stream: int) -> Array:
        import numpy as np

        if desc.slot.kind == "host":
            return np.array(desc.values, desc.dtype.numpy)
        shape = tuple(operator.index(dim) for dim in desc.shape)
        data = self._read(pointers[desc.slot.index], operator.index(desc.nbytes), stream)
        array: Array = np.frombuffer(data, desc.dtype.numpy).reshape(shape)
        return array

    def _compare(self, desc: TensorDesc, got: Array, expected: Array) -> None:
        import numpy as np

        wrong = differing(self._core.plugin, got, expected)
        if not wrong.any():
            return
        if got.shape != expected.shape:
            got, expected = (np.array(array.shape, np.int64) for array in (got, expected))
            wrong = got != expected
        new_nan = np.isnan(got.astype(np.float64)) & ~np.isnan(expected.astype(np.float64))
        if new_nan.any() and self._taps.first_nan is None:
            self._taps.first_nan = self._difference(desc, got, expected, new_nan)
        seen = {(known.plugin, known.node, known.output) for known in self._taps.differences}
        if (type(self._core.plugin).__name__, self._core.node, desc.name) not in seen:
            self._taps.differences.append(self._difference(desc, got, expected, wrong))

    def _difference(
        self, desc: TensorDesc, got: Array, expected: Array, wrong: npt.NDArray[np.bool_]
    ) -> Difference:
        import numpy as np

        element = tuple(int(index) for index in np.argwhere(wrong)[0])
        return Difference(
            self._taps.calls,
            type(self._core.plugin).__name__,
            self._core.node,
            desc.name,
            element,
            float(got[element]),
            float(expected[element]),
            int(wrong.sum()),
        )


def differing(plugin: Any, got: Array, expected: Array) -> npt.NDArray[np.bool_]:
    """Find the elements that differ by more than the tolerance; it applies to finite values.

    NaN equals NaN, and an infinity only itself. Where the shapes differ, returns one True.
    """
    import numpy as np

    if got.shape != expected.shape:
        return np.ones(1, bool)
    tolerance = plugin.tolerance.get(dtype_from_numpy(expected.dtype), 0.0)
    if expected.dtype.kind in "iub":
        return np.asarray(got != expected)
    a, b = got.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        is_near = np.abs(a - b) <= tolerance * np.maximum(1, np.abs(b))
        is_near &= np.isfinite(a) & np.isfinite(b)
    return np.asarray(~(is_near | (a == b) | (np.isnan(a) & np.isnan(b))))


def largest_error(got: Array, expected: Array) -> float:
    """Return the largest difference of two arrays, as a part of max(1, |expected|); 0 if empty."""
    import numpy as np

    wide = np.asarray(expected, np.float64)
    difference = np.abs(np.asarray(got, np.float64) - wide) / np.maximum(1, np.abs(wide))
    return float(difference.max(initial=0))


def _read_device(pointer: int, nbytes: int, stream: int) -> bytes:
    from pluginkit.kernels.cuda_packages import need
    from pluginkit.kernels.load import cuda_error

    driver = need("cuda.bindings.driver")
    data = bytearray(nbytes)
    (status,) = driver.cuStreamSynchronize(stream)
    if not status and nbytes:
        (status,) = driver.cuMemcpyDtoH(data, pointer, nbytes)
    if status:
        raise KernelError("PK330", f"debug_taps: cannot read a tensor: {cuda_error(status)}.")
    return bytes(data)


def _is_capturing(stream: int) -> bool:
    from pluginkit.kernels.cuda_packages import need

    driver = need("cuda.bindings.driver")
    _, status = driver.cuStreamIsCapturing(stream)
    return bool(status == driver.CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_ACTIVE)
