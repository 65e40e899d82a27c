"""Describe the mistakes that the machine finds in a kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pluginkit.ptx.demangle import demangled
from pluginkit.ptx.types import Three

#: What went wrong, in one word.
#:
#: ``out_of_bounds``: an access outside its buffer.  ``uninitialised``: bytes are read that nothing
#: has written, or a value is written to global memory that follows from a variable which nothing
#: has set.  ``misaligned``: an address that is no multiple of the access's size.  ``race``: two
#: threads access the same bytes, one of them writes, and nothing orders them; those of
#: launches that overlap, too.  ``barrier``: some
#: threads never reach a barrier.  ``warp``: some lanes never reach a warp operation, or one reads
#: from a lane that does not take part.  ``division``: an integer division by zero.
#: ``input_written``: a write to an input.  ``assertion``: ``assert`` failed.  ``trap``: the kernel
#: stopped itself.  ``deadlock``: threads that wait for ever, or a kernel that does not end.
#: ``unrepeatable``: a value is written to global memory that follows from a clock or from the
#: multiprocessor that runs the thread.
#: ``unwritten``: bytes of an output that no thread has written by the end.
Kind = Literal[
    "out_of_bounds",
    "uninitialised",
    "misaligned",
    "race",
    "barrier",
    "warp",
    "division",
    "input_written",
    "assertion",
    "trap",
    "deadlock",
    "unrepeatable",
    "unwritten",
]


@dataclass(frozen=True)
class Finding:
    """One mistake, found at one instruction.

    Attributes:
        kind: what went wrong; see :data:`Kind`.
        kernel: the kernel's name in the PTX.
        message: what happened, without the source line.
        file: the source file, as the compiler names it; None without line information.
        line: the line in it, from 1; None without line information.
        block: ``blockIdx`` of the first thread that makes it; None if no thread does.
        thread: the ``threadIdx`` of that thread.
        threads: how many threads make it at this instruction.
        buffer: the buffer's name; None if no buffer is concerned.
        offset: bytes from the buffer's start; negative before it.
        address: the address as the kernel sees it.
        other_line: for a race the line of the other access, in the same file unless ``message``
            names another one.
        instruction: the PTX instruction.
        call_line: the line from which the kernel calls the function that has ``line``; None if the
            kernel has it itself.
        other_call_line: the same for ``other_line``.
    """

    kind: Kind
    kernel: str
    message: str
    file: str | None = None
    line: int | None = None
    block: Three | None = None
    thread: Three | None = None
    threads: int = 1
    buffer: str | None = None
    offset: int | None = None
    address: int | None = None
    other_line: int | None = None
    instruction: str = ""
    call_line: int | None = None
    other_call_line: int | None = None

    @property
    def where(self) -> str:
        """The file and line, or the instruction if they are unknown."""
        place = f"{self.file}:{self.line}" if self.file else f"'{self.instruction}'"
        return place + _called_at(self.call_line)

    def __str__(self) -> str:
        if self.thread is None:
            return f"{self.kind}: {self.message}"
        others = f" and {self.threads - 1} more" if self.threads > 1 else ""
        other = ""
        if self.other_line is not None:
            other = f" (line {self.other_line}{_called_at(self.other_call_line)})"
        return (
            f"{self.kind} at {self.where}: {self.message.rstrip('.')}{other}. "
            f"Thread {self.thread} of block {self.block}{others}, kernel {demangled(self.kernel)}."
        )


def _called_at(line: int | None) -> str:
    return "" if line is None else f", called at line {line}"
