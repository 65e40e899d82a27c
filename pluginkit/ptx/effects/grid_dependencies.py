"""``griddepcontrol``: where a launch waits for earlier ones, and lets the next one begin."""

from __future__ import annotations

from pluginkit.ptx.code.frame import Frame, Operation
from pluginkit.ptx.code.guards import active_threads
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.text.syntax import Instruction


def control(slots: Slots, instruction: Instruction) -> Operation:
    """``griddepcontrol.wait`` and ``.launch_dependents``, of a launch that overlaps others."""
    choose, waits = active_threads(slots, instruction), instruction.has("wait")

    def run(frame: Frame) -> None:
        machine = frame.machine
        ids, _ = choose(frame)
        if machine.earlier is None or not len(ids):
            return
        note = machine.earlier.wait if waits else machine.earlier.let_next_begin
        note(ids + machine.first_thread, machine.tick(instruction))

    return run
