"""The exported libraries of the shipped plugins, out of TensorRT's registry, on the GPU.

Every case in every type goes through loadLibrary, the creator and TensorRT's order of calls, all
from C++. Results must be the reference's: outputs and workspace are poisoned first, memory is
guarded, the enqueue is captured in a CUDA graph that is replayed on other data, and the context
takes another shape in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from pluginkit.checking.checks.execution_checks import captured
from pluginkit.checking.executions import POISON, Execution, expect
from pluginkit.checking.guarded_buffers import GuardedDevice
from pluginkit.checking.plugin_under_test import PluginCall, Subject
from pluginkit.device.memory import CupyMemory
from pluginkit.export.compile.compiler import find_compiler
from tests.export.called_plugins import (
    SHIPPED,
    generated,
    link,
    with_other_shapes,
)
from tests.export.registry_caller import TensorRT
from tests.export.structures import profile_of

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

#: Each plugin's calls are spread over this many tests, which can run at the same time.
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_exported_library_computes_what_the_reference_does(
    tensorrt: TensorRT, tmp_path: Path, name: str, part: int
) -> None:
    plugin, memory = SHIPPED[name], CupyMemory()
    every = list(Subject(plugin).calls())
    sequences = with_other_shapes(
        every[part * len(every) // PARTS : (part + 1) * len(every) // PARTS]
    )
    capability = memory.cupy.cuda.Device().compute_capability
    library = generated((call for each in sequences for call in each), capability)
    for interface in ("v3",) if plugin.spec.needs_v3 else ("v3", "v2"):
        file = tmp_path / f"lib{interface}.so"
        link(library, find_compiler(), tensorrt.major, file, interface)
        with tensorrt.loaded(file):
            assert tensorrt.interface(plugin.spec.key) == interface
            for sequence in sequences:
                live(tensorrt, sequence, memory)
    assert len(sequences) > 0


def live(tensorrt: TensorRT, sequence: Sequence[PluginCall], memory: CupyMemory) -> None:
    """Build a plugin, load it, and use it for one shape, another, and the first one again."""
    call, device = sequence[0], GuardedDevice(memory)
    with ExitStack() as stack:
        layer = stack.enter_context(tensorrt.built(call.plugin, profile_of(sequence)))
        context = stack.enter_context(tensorrt.attached(layer))
        first = Execution(call, context, device)
        check(first, "first")
        if any(array.size for array in call.reference()):  # nothing is captured of an empty call
            replay(first, memory)
        for other in sequence[1:]:
            check(Execution(other, context, device), "another shape")
        first.fill(POISON)
        check(first, "the first shape again")


def check(execution: Execution, label: str) -> None:
    execution.check(label)
    for buffer in (*execution.inputs, *execution.outputs, execution.workspace):
        assert buffer.damage() is None, f"{execution.call.label}, {label}"


def replay(execution: Execution, memory: CupyMemory) -> None:
    """Replay what a capture of the enqueue holds, on the same data and on other data."""
    graph = captured(memory, execution)
    for other in (execution.call, execution.call.with_other_values()):
        execution.fill(POISON, other)
        graph.launch(memory.queue)
        expect(other, execution.results(), "replayed")
