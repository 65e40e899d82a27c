"""Make calls of the generated C++, on a driver that only records them."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pluginkit.export.generate.kernels import KernelModule
from pluginkit.export.prove.call import STREAM, CallRecord, VariantCall, pointers
from pluginkit.export.prove.python_side import trt_output_shapes

_DRIVER = "PLUGINKIT_CUDA_DRIVER"
#: The multiprocessors and bytes of shared memory that the recording driver reports.
_DEVICE = (132, 232448)


class ProbedLibrary:
    """An exported library with its probe, on the recording driver.

    Args:
        library: the library, linked with the probe.
        driver: the recording driver.
        modules: the modules of the library's kernels.
    """

    def __init__(self, library: Path, driver: Path, modules: Iterable[KernelModule]) -> None:
        self._driver = ctypes.CDLL(str(driver))
        self._driver.pluginkit_recording_text.restype = ctypes.c_char_p
        self._library = ctypes.CDLL(str(library))
        self._library.pluginkit_probe.restype = ctypes.c_char_p
        self._path = driver
        for module in modules:
            capability = int(module.images[0].compute_capability)
            self._driver.pluginkit_recording_device(capability, *_DEVICE)
            for symbol, sizes in zip(module.symbols, module.parameter_sizes, strict=True):
                array = (ctypes.c_int32 * len(sizes))(*sizes)
                self._driver.pluginkit_recording_parameters(symbol.encode(), array, len(sizes))

    def answer(self, call: VariantCall) -> CallRecord:
        """Make a call, and return its result."""
        self._driver.pluginkit_recording_clear()
        with self._as_driver():
            text = self._library.pluginkit_probe(json.dumps(_request(call)).encode())
        answer = json.loads(text)
        if "error" in answer:
            return CallRecord(refusal=answer["error"])
        outputs = tuple((shape, dtype) for shape, dtype in answer["outputs"])
        return CallRecord(outputs, answer["workspace_bytes"], tuple(self._recorded()))

    def _recorded(self) -> Iterator[dict[str, Any]]:
        for line in self._driver.pluginkit_recording_text().decode().splitlines():
            step = json.loads(line)
            if step["call"] in ("launch", "copy", "fill"):
                yield step

    @contextmanager
    def _as_driver(self) -> Iterator[None]:
        """Let the library load the recording driver, which it does at its first call."""
        before = os.environ.get(_DRIVER)
        os.environ[_DRIVER] = str(self._path)
        try:
            yield
        finally:
            if before is None:
                del os.environ[_DRIVER]
            else:
                os.environ[_DRIVER] = before


def _request(call: VariantCall) -> dict[str, Any]:
    plugin = call.variant.plugin
    ports = plugin.spec.inputs
    there = [port for port, present in zip(ports, plugin.present, strict=True) if present]
    seen = [
        (list(dims), dtype.name)
        for port, dims, dtype in zip(there, call.dims, call.variant.dtypes, strict=True)
        if port.is_on_device
    ]
    inputs, outputs, workspace = pointers(len(seen), len(plugin.spec.outputs))
    return {
        "plugin": plugin.spec.plugin_name,
        "attributes": plugin.to_wire(),
        "dtypes": [dtype for _, dtype in seen],
        "shapes": [shape for shape, _ in seen],
        "trt_outputs": trt_output_shapes(call),
        "tactic": plugin.spec.tactics.index(plugin.tactic) if plugin.spec.tactics else 0,
        "inputs": inputs,
        "outputs": outputs,
        "workspace": workspace,
        "stream": STREAM,
    }
