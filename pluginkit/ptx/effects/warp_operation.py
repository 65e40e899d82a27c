"""What an operation on the lanes of a warp consists of."""

from __future__ import annotations

from dataclasses import dataclass

from pluginkit.ptx.code.frame import Destination, Read
from pluginkit.ptx.text.syntax import Immediate, Instruction

#: A mask that names every lane of a warp.
ALL_LANES = Immediate("0xFFFFFFFF")


@dataclass(frozen=True)
class WarpOperation:
    """An operation on the lanes of a warp.

    Attributes:
        instruction: the instruction.
        mask: reads which lanes take part; None for all active lanes.
        sources: functions that read its operands.
        puts: the destinations of its results.
    """

    instruction: Instruction
    mask: Read | None
    sources: tuple[Read, ...]
    puts: tuple[Destination, ...]

    @property
    def is_barrier(self) -> bool:
        """Whether it only lets lanes wait for one another: ``bar.warp``."""
        return not self.sources and not self.puts
