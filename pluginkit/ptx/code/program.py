"""A kernel that is ready to run; each basic block is decoded when it first runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from pluginkit.errors import KernelError
from pluginkit.ptx.code.basic_blocks import BasicBlock, basic_blocks, endless_blocks
from pluginkit.ptx.code.decode import decode
from pluginkit.ptx.code.frame import Operation, Read
from pluginkit.ptx.code.inline import expand
from pluginkit.ptx.code.liveness import live_registers, registers_used
from pluginkit.ptx.code.reserved_memory import declare_reserved_memory
from pluginkit.ptx.code.slots import Slots
from pluginkit.ptx.code.special_registers import UNIFORM
from pluginkit.ptx.code.undefined_registers import follow_undefined_registers, name_operands
from pluginkit.ptx.effects.state_spaces import space_of
from pluginkit.ptx.effects.synchronisation import Barrier, synchronisation_of
from pluginkit.ptx.effects.warp_operation import WarpOperation
from pluginkit.ptx.text.parse import ParsedModule
from pluginkit.ptx.text.syntax import Instruction


@dataclass
class DecodedBlock:
    """A basic block as operations on a frame.

    Attributes:
        basic: its instructions.
        operations: the functions that execute its instructions, in order.
        reads: the slots to fill before the block runs.
        writes: the slots to keep after the block has run.
        condition: reads the predicate or the index of the branch at its end; None without one.
        synchronisation: the barrier or warp operation that is the whole block, or None.
    """

    basic: BasicBlock
    operations: list[Operation] = field(default_factory=list)
    reads: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    condition: Read | None = None
    synchronisation: Barrier | WarpOperation | None = None


class Program:
    """A kernel of a module.

    Args:
        module: the module.
        name: the kernel's name.

    Attributes:
        function: the kernel with its calls inlined.
        basic_blocks: its basic blocks, in the order in which they should run.
        slots: where its registers are in a frame.
        endless_blocks: the basic blocks from which no way leads to the end.
        polling_loops: the loops in which a thread may wait for another thread's write.
        may_wait_for_blocks: whether such a thread may be one of another block.
        has_meetings_of_parts: whether parts of a block meet, at an mbarrier or at a barrier with a
            thread count.
        signalling_blocks: the basic blocks with an atomic or a volatile store, by which a thread
            signals others. Those that only touch shared memory are left out if the kernel also
            signals through other memory.

        volatile_blocks: the basic blocks with a volatile access to what may be shared memory.

    Errors:
        PK352: there is no such kernel.
        PtxUnsupported: it uses a part of PTX that the machine does not support.
    """

    def __init__(self, module: ParsedModule, name: str) -> None:
        kernel = module.function(name)
        if kernel is None or not kernel.is_kernel:
            raise KernelError(
                "PK352",
                f"kernel '{name}' is not in the PTX; expected one of {', '.join(module.kernels)}.",
            )
        self.module = module
        self.function = expand(module, kernel)
        declare_reserved_memory(self.function)
        self.basic_blocks = basic_blocks(self.function)
        self.slots = Slots(module, self.function)
        self._live = live_registers(self.basic_blocks)
        if name_operands(self.function, self._live.before(0)):
            self.basic_blocks = basic_blocks(self.function)
            self._live = live_registers(self.basic_blocks)
        if follow_undefined_registers(self.function, self.basic_blocks, self._live.before(0)):
            self._live = live_registers(self.basic_blocks)
        self.endless_blocks = endless_blocks(self.basic_blocks)
        self._decoded: dict[int, DecodedBlock] = {}
        self.polling_loops = {
            basic.loop
            for basic in self.basic_blocks
            if basic.loop is not None and any(map(self._polls, basic.body))
        }
        code = [one for basic in self.basic_blocks for one in basic.body]
        self.may_wait_for_blocks = any(
            space_of(one) != "shared"
            for basic in self.basic_blocks
            if basic.loop in self.polling_loops
            for one in basic.body
            if self._polls(one)
        )
        self.has_meetings_of_parts = any(map(_meets_in_parts, code))
        self.volatile_blocks = frozenset(
            number
            for number, basic in enumerate(self.basic_blocks)
            if any(
                one.has("volatile") and space_of(one) in ("shared", "generic") for one in basic.body
            )
        )
        spaces = [
            {space_of(one) for one in basic.body if _signals(one)} for basic in self.basic_blocks
        ]
        used = set().union(*spaces)
        counted = used - {"shared"} or used
        self.signalling_blocks = frozenset(n for n, found in enumerate(spaces) if found & counted)

    @property
    def parameter_sizes(self) -> tuple[int, ...]:
        """The size in bytes of each parameter."""
        return tuple(parameter.nbytes for parameter in self.function.parameters)

    def decoded_block(self, number: int) -> DecodedBlock:
        """Return a basic block in its decoded form."""
        found = self._decoded.get(number)
        if found is None:
            found = self._decoded[number] = self._prepare(self.basic_blocks[number])
        return found

    def _prepare(self, basic: BasicBlock) -> DecodedBlock:
        block, slots = DecodedBlock(basic), self.slots
        if basic.is_synchronisation:
            block.synchronisation = synchronisation_of(slots, basic.body[0])
        else:
            decoded = (decode(slots, instruction) for instruction in basic.body)
            block.operations = [operation for operation in decoded if operation is not None]
        if basic.branch is not None:
            block.condition = self._condition(basic.branch)
        read, written = registers_used(basic.instructions)
        block.reads = tuple(sorted(slots.of(name) for name in read if name not in UNIFORM))
        live = self._live.among(written, basic.successors)
        block.writes = tuple(sorted(map(slots.of, live)))
        return block

    def _condition(self, branch: Instruction) -> Read:
        if branch.guard is not None and branch.opcode != "brx":
            return self.slots.guard(branch.guard)
        return self.slots.read(branch.operands[0], "u32", branch)

    def _polls(self, instruction: Instruction) -> bool:
        """Whether an instruction reads memory to see another thread's write."""
        if instruction.opcode == "mbarrier":
            return instruction.has("test_wait", "try_wait")
        if instruction.opcode == "atom":
            return bool(instruction.registers.written & self.slots.read_registers)
        return instruction.opcode == "ld" and instruction.has(
            "volatile", "relaxed", "acquire", "mmio"
        )


def _meets_in_parts(instruction: Instruction) -> bool:
    if instruction.opcode == "mbarrier":
        return True
    is_barrier = instruction.opcode in ("bar", "barrier") and not instruction.has("warp", "cluster")
    return is_barrier and len(instruction.operands) > 1 + 2 * instruction.has("red")


def _signals(instruction: Instruction) -> bool:
    if instruction.opcode == "mbarrier":
        return instruction.has("arrive", "arrive_drop")
    return instruction.opcode in ("atom", "red") or (
        instruction.opcode == "st" and instruction.has("volatile", "relaxed", "release", "mmio")
    )
