"""PTX's syntax: functions, variables, instructions and their operands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property


@dataclass(frozen=True)
class Register:
    """A register, under a name that is unique in its function."""

    name: str


@dataclass(frozen=True)
class Immediate:
    """A number in PTX's notation: ``5``, ``0x1F``, ``0f3F800000``, ``1.5``."""

    text: str


@dataclass(frozen=True)
class Symbol:
    """The address of a variable or a label, plus bytes."""

    name: str
    offset: int = 0


@dataclass(frozen=True)
class Address:
    """``[base + offset]``; a base of None means an absolute address."""

    base: Register | Symbol | None
    offset: int = 0


@dataclass(frozen=True)
class Vector:
    """``{a, b}``; also the parameters of a call."""

    items: tuple[Operand, ...]


@dataclass(frozen=True)
class Negated:
    """``!p``."""

    operand: Register


@dataclass(frozen=True)
class Pair:
    """``d|p``: a value and a predicate that an instruction writes together."""

    first: Operand
    second: Operand


@dataclass(frozen=True)
class UnparsedOperands:
    """The text of operands in a form that only unsupported instructions have."""

    text: str


Operand = Register | Immediate | Symbol | Address | Vector | Negated | Pair | UnparsedOperands


def items_of(operand: Operand) -> tuple[Operand, ...]:
    """Return the operands in a vector, or the operand itself."""
    return operand.items if isinstance(operand, Vector) else (operand,)


def named_registers(operand: Operand) -> Iterator[str]:
    """Yield the registers that an operand names."""
    if isinstance(operand, Register):
        yield operand.name
    elif isinstance(operand, Negated):
        yield operand.operand.name
    elif isinstance(operand, Address):
        if isinstance(operand.base, Register):
            yield operand.base.name
    elif isinstance(operand, Vector):
        for item in operand.items:
            yield from named_registers(item)
    elif isinstance(operand, Pair):
        yield from named_registers(operand.first)
        yield from named_registers(operand.second)


@dataclass(frozen=True)
class SourceLocation:
    """A line of the source, and the call that it was inlined at, if any."""

    file: int
    line: int
    inlined_at: SourceLocation | None = None

    @property
    def place(self) -> tuple[int, ...]:
        """The numbers of file and line, and those of the call."""
        call = self.inlined_at
        return (self.file, self.line, *((call.file, call.line) if call is not None else ()))


#: The register that stands for the carry flag of a thread.
CARRY = "%cc"
_CARRYING = ("addc", "subc", "madc")

#: Instructions that read their first operand instead of writing it.
_WITHOUT_RESULT = {
    "st", "stu", "red", "bra", "brx", "call", "ret", "exit", "trap", "membar",
    "fence", "prefetch", "prefetchu", "cp", "discard", "applypriority", "nanosleep", "brkpt",
    "pmevent", "griddepcontrol", "undefined_use",
    "undefined_store", "undefined_operands",
}  # fmt: skip


@dataclass(frozen=True)
class RegisterUse:
    """The registers that an instruction reads and writes."""

    read: frozenset[str]
    written: frozenset[str]


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        opcode: the first part of its name, ``"ld"``.
        modifiers: the other parts, ``("global", "nc", "u32")``.
        operands: in order.
        guard: the predicate in front of it, or None.
        location: where its source is.
        text: the instruction as it was written.
        used_bytes: the bytes of a load that the kernel uses, as a bit mask; None for all.
    """

    opcode: str
    modifiers: tuple[str, ...]
    operands: tuple[Operand, ...]
    guard: Register | Negated | None = None
    location: SourceLocation | None = None
    text: str = ""
    used_bytes: int | None = None

    @property
    def takes_carry(self) -> bool:
        """Whether it reads the carry flag."""
        return self.opcode in _CARRYING

    @property
    def gives_carry(self) -> bool:
        """Whether it writes the carry flag."""
        return "cc" in self.modifiers

    @cached_property
    def registers(self) -> RegisterUse:
        """The registers that it reads and writes.

        A guarded instruction also reads what it writes, since other threads keep their values.
        """
        operands = list(self.operands)
        written: set[str] = set()
        if operands and self._has_result:
            written.update(named_registers(operands.pop(0)))
        read: set[str] = set()
        for operand in operands:
            read.update(named_registers(operand))
        if self.takes_carry:
            read.add(CARRY)
        if self.gives_carry:
            written.add(CARRY)
        if self.guard is not None:
            read.update(named_registers(self.guard), written)
        return RegisterUse(frozenset(read - {"_"}), frozenset(written - {"_"}))

    @property
    def _has_result(self) -> bool:
        if self.opcode in ("bar", "barrier"):
            return self.has("red")
        if self.opcode == "mbarrier":
            if self.has("arrive", "arrive_drop"):
                return True
            return not self.has("init", "inval", "expect_tx", "complete_tx")
        if self.opcode == "wmma":
            return not self.has("store")
        return self.opcode not in _WITHOUT_RESULT

    def has(self, *names: str) -> bool:
        """Whether the instruction has one of the modifiers."""
        return any(name in self.modifiers for name in names)

    def one_of(self, names: Sequence[str], default: str = "") -> str:
        """Return the first modifier that is among ``names``."""
        return next((each for each in self.modifiers if each in names), default)

    def with_operands(self, *operands: Operand) -> Instruction:
        """Return the same instruction with other operands."""
        return replace(self, operands=operands)


@dataclass(frozen=True)
class Variable:
    """Memory that a module or a function declares.

    Attributes:
        name: unique in the module, or in its function.
        space: ``global``, ``const``, ``shared``, ``local`` or ``param``.
        type: the element's type.
        nbytes: its size; 0 for an array whose size the launch gives.
        align: the alignment in bytes.
        values: its initial values: numbers as written, or symbols; None without an initialiser.
    """

    name: str
    space: str
    type: str
    nbytes: int
    align: int
    values: tuple[Operand, ...] | None = None


@dataclass
class Function:
    """A kernel (``.entry``) or a function (``.func``).

    Attributes:
        name: the mangled name.
        is_kernel: whether it can be launched.
        parameters: variables in the space ``param``, in order.
        results: the variables in which a function returns its results, in order.
        registers: the declared type of each register.
        variables: the variables that it declares.
        code: its instructions.
        labels: for each label the index of the instruction after it.
        targets: for each ``.branchtargets`` list its labels.
    """

    name: str
    is_kernel: bool
    parameters: tuple[Variable, ...] = ()
    results: tuple[Variable, ...] = ()
    registers: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    code: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
