"""What an execution context goes through on the GPU, whoever plays TensorRT around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pluginkit.checking.checks.execution_checks import captured
from pluginkit.checking.checks.value_checks import expect_inside
from pluginkit.checking.executions import POISON, Execution, expect
from pluginkit.checking.guarded_buffers import GuardedDevice
from pluginkit.checking.plugin_under_test import PluginCall
from pluginkit.device.memory import CupyMemory


def live(context: Any, sequence: Sequence[PluginCall], memory: CupyMemory) -> None:
    """Use a context for one shape, as a CUDA graph, for other shapes, and for the first one again.

    Memory is guarded, and outputs and workspace are poisoned first.
    """
    call, device = sequence[0], GuardedDevice(memory)
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
    expect_inside(execution, execution.call)


def replay(execution: Execution, memory: CupyMemory) -> None:
    """Replay what a capture of the enqueue holds, on the same data and on other data."""
    graph = captured(memory, execution)
    for other in (execution.call, execution.call.with_other_values()):
        execution.fill(POISON, other)
        graph.launch(memory.queue)
        expect(other, execution.results(), "replayed")
        expect_inside(execution, other)
