"""The error for PTX that the machine does not support."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.errors import KernelError
from pluginkit.ptx.demangle import demangled
from pluginkit.ptx.text.syntax import Instruction

if TYPE_CHECKING:
    from pluginkit.ptx.text.parse import ParsedModule


class PtxUnsupported(KernelError):  # noqa: N818 - not an error of the kernel, but a limit of the machine
    """A kernel uses a part of PTX that the machine lacks."""


def unsupported(
    kernel: str, instruction: Instruction, module: ParsedModule, what: str | None = None
) -> PtxUnsupported:
    """Return the error for one instruction; ``what`` describes it if its name is not enough."""
    location = instruction.location
    where = f"'{instruction.text}'"
    if location is not None:
        file, line = module.author_place(location)
        where = f"{file}:{line}, {where}"
    name = ".".join((instruction.opcode, *instruction.modifiers))
    return PtxUnsupported(
        "PK351",
        f"kernel '{demangled(kernel)}' needs {what or f'the instruction {name}'}; "
        "expected what the PTX machine knows.",
        where=where,
        fix="run this kernel on a GPU.",
    )
