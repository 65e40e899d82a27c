"""The shared memory that CUDA reserves in each block, as a variable of the kernel.

Groups of cooperative groups that have several warps count there who has arrived.
"""

from __future__ import annotations

from dataclasses import replace

from pluginkit.ptx.memory.regions import RESERVED_MEMORY
from pluginkit.ptx.text.syntax import Function, Register, Symbol, Variable

_REGISTER = Register("%reserved_smem_offset_1")
_BYTES = 288  # what cooperative groups may count on


def declare_reserved_memory(function: Function) -> None:
    """Make the address of reserved shared memory that of a variable, if the kernel uses it."""
    uses = [at for at, one in enumerate(function.code) if _REGISTER in one.operands]
    for at in uses:
        one = function.code[at]
        operands = (Symbol(RESERVED_MEMORY) if each == _REGISTER else each for each in one.operands)
        function.code[at] = replace(one, operands=tuple(operands))
    if uses:
        function.variables[RESERVED_MEMORY] = Variable(RESERVED_MEMORY, "shared", "b8", _BYTES, 16)
