"""Instructions that do more than compute: loads, stores, atomics, fences, calls of the runtime.

For each opcode a function takes the kernel's slots and the instruction, and returns its operation.
"""

from __future__ import annotations

from collections.abc import Callable

from pluginkit.ptx.code.frame import Operation
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.effects import (
    async_copies,
    atomic_operations,
    grid_dependencies,
    loads_and_stores,
    mbarrier_instructions,
    moves,
    runtime,
    undefined_values,
)
from pluginkit.ptx.text.syntax import Instruction

Effect = Callable[[Slots, Instruction], Operation | None]


def _nothing(slots: Slots, instruction: Instruction) -> None:
    """Ignore a hint to the hardware, which changes no result."""


EFFECTS: dict[str, Effect] = {
    "ld": loads_and_stores.load,
    "ldu": loads_and_stores.load,
    "st": loads_and_stores.store,
    "griddepcontrol": grid_dependencies.control,
    "membar": loads_and_stores.fence,
    "fence": loads_and_stores.fence,
    "mov": moves.move,
    "cvta": moves.convert_address,
    "isspacep": moves.is_in_space,
    "atom": atomic_operations.atomic,
    "red": atomic_operations.atomic,
    "cp": async_copies.copy,
    "mbarrier": mbarrier_instructions.mbarrier,
    "call": runtime.call,
    "trap": runtime.trap,
    "undefined_flow": undefined_values.flow,
    "undefined_choice": undefined_values.choice,
    "undefined_use": undefined_values.use,
    "undefined_load": undefined_values.load,
    "undefined_store": undefined_values.store,
    **dict.fromkeys(
        (
            "brkpt", "prefetch", "prefetchu", "nanosleep", "discard", "applypriority", "pmevent",
            "setmaxnreg", "undefined_operands",
        ),
        _nothing,
    ),
}  # fmt: skip
