"""The exported library of every shipped plugin computes what the reference does, on the GPU.

Every case in every type: outputs are poisoned first, the enqueue is captured in a CUDA graph, and
the graph is replayed on other poison.
"""

from __future__ import annotations

import ctypes
import json
import operator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluginkit import Plugin, find_plugins
from pluginkit.checking.debug_taps import differing
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.contract import calls
from pluginkit.contract.dims import DimExpr
from pluginkit.export.compile.compiler import find_compiler
from pluginkit.export.compile.library_builder import LibraryBuilder
from pluginkit.export.generate.generate_library import generate_library
from pluginkit.export.trace.methods import trace_plugin
from pluginkit.export.variant import Variant, merged

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

SHIPPED = [one for one in find_plugins().values() if one.__module__.startswith("pluginkit.")]


def variant_of(call: PluginCall) -> Variant:
    """The call as the only one that a library is made for; others widen its ranges."""
    ports = calls.present_ports(call.plugin)
    sizes = [
        call.values[port.name] if port.is_shape_input else shape
        for port, shape in zip(ports, call.shapes, strict=True)
    ]
    ranges = tuple(tuple((size, size) for size in each) for each in sizes)
    return Variant(call.plugin, tuple(call.dtypes), ranges)


def probed_library(plugin: type[Plugin], every: list[PluginCall], folder: Path) -> ctypes.CDLL:
    """The plugin's library for these calls, compiled for this GPU, with its way in."""
    import cupy

    capability = cupy.cuda.Device().compute_capability
    variants = [one for v in merged(map(variant_of, every)) for one in v.with_tactics()]
    library = generate_library([trace_plugin(one) for one in variants], [capability])
    compiler = find_compiler()
    with LibraryBuilder(library.files, compiler, 11) as builder:
        builder.link_probe(folder / f"{plugin.__name__}.so")
    loaded = ctypes.CDLL(str(folder / f"{plugin.__name__}.so"))
    loaded.pluginkit_probe.restype = ctypes.c_char_p
    return loaded


class Enqueue:
    """One call's buffers on the GPU, and the library that works on them."""

    def __init__(self, library: ctypes.CDLL, call: PluginCall) -> None:
        import cupy

        self._cupy, self._library, self._call = cupy, library, call
        inputs = call.describe()
        self._inputs = [self._buffer(array.tobytes()) for array in call.device_arrays]
        self.outputs = [
            cupy.empty(max(operator.index(desc.nbytes), 1), cupy.uint8)
            for desc in calls.describe_outputs(call.plugin, inputs)
        ]
        self._workspace = cupy.empty(max(calls.workspace_bytes(call.plugin, inputs), 1), cupy.uint8)
        self.stream = cupy.cuda.Stream(non_blocking=True)

    def _buffer(self, data: bytes) -> Any:
        return self._cupy.asarray(np.frombuffer(data or b"\0", np.uint8))

    def poison(self, byte: int) -> None:
        """Fill outputs and workspace."""
        for buffer in (*self.outputs, self._workspace):
            buffer.fill(byte)
        self._cupy.cuda.Device().synchronize()

    def enqueue(self) -> None:
        """Ask the library for it, as TensorRT would."""
        call = self._call
        shapes = calls.output_shapes(call.plugin, call.describe())
        tactics = call.plugin.spec.tactics
        request = {
            "plugin": call.plugin.spec.plugin_name,
            "attributes": call.plugin.to_wire(),
            "dtypes": [dtype.name for dtype in calls.on_device(call.plugin, call.dtypes)],
            "shapes": calls.on_device(call.plugin, call.shapes),
            "told": [[-1 if isinstance(dim, DimExpr) else dim for dim in s] for s in shapes],
            "tactic": tactics.index(call.plugin.tactic) if tactics else 0,
            "inputs": [buffer.data.ptr for buffer in self._inputs],
            "outputs": [buffer.data.ptr for buffer in self.outputs],
            "workspace": self._workspace.data.ptr,
            "stream": self.stream.ptr,
            "is_kept": True,
        }
        answer = json.loads(self._library.pluginkit_probe(json.dumps(request).encode()))
        assert "error" not in answer, f"{call.label}: {answer['error']}"

    def results(self) -> list[np.ndarray]:
        """The outputs, once the stream has finished."""
        self.stream.synchronize()
        written = [buffer.get().tobytes() for buffer in self.outputs]
        return calls.arrays_from_buffers(self._call.plugin, self._call.describe(), written)


def assert_right(call: PluginCall, got: list[np.ndarray], how: str) -> None:
    for port, array, wanted in zip(call.plugin.spec.outputs, got, call.reference(), strict=False):
        assert array.shape == wanted.shape, f"{call.label}, {how}: {port.name}"
        assert not differing(call.plugin, array, wanted).any(), f"{call.label}, {how}: {port.name}"


@pytest.mark.parametrize("plugin", SHIPPED, ids=lambda one: one.__name__)
def test_the_exported_library_computes_what_the_reference_does(plugin, tmp_path) -> None:
    import cupy

    every = list(Subject(plugin).calls())
    library = probed_library(plugin, every, tmp_path)
    for call in every:
        one = Enqueue(library, call)
        one.poison(0xA5)
        one.enqueue()
        assert_right(call, one.results(), "enqueued")
        if not any(array.size for array in call.arrays):
            continue  # nothing is captured of an empty call
        one.poison(0x5A)
        # Memory that the plugin makes for itself would show here: a capture refuses it.
        one.stream.begin_capture(cupy.cuda.runtime.streamCaptureModeThreadLocal)
        one.enqueue()
        graph = one.stream.end_capture()
        one.poison(0x3C)
        graph.launch(one.stream)
        assert_right(call, one.results(), "replayed")
    assert len(every) > 0
