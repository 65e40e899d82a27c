"""Split a kernel into basic blocks, and put them in the order in which they should run.

The machine always runs the basic block with the lowest number that threads wait for, so that
diverged threads converge. For that to work, the blocks of a loop must be adjacent, and the blocks
after the loop must follow them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pluginkit.ptx.text.syntax import Function, Instruction, Negated, Register, Symbol

#: Instructions at which threads wait for one another; each is a basic block of its own.
_SYNCHRONISATION = (
    "bar", "barrier", "shfl", "vote", "match", "redux", "elect", "activemask", "mma", "wmma",
    "ldmatrix",
)  # fmt: skip
_ENDING = ("bra", "brx", "ret", "exit", "trap")
_FAILING = ("__assertfail", "__assert_fail")

_NONE = Instruction("ret", (), ())

#: The block number of the end of the kernel.
END = -1


@dataclass
class BasicBlock:
    """Instructions without a branch among them.

    Attributes:
        body: the instructions, without the branch at the end.
        branch: the guarded or indirect branch at the end, if any.
        successors: the numbers of the blocks that may follow, for a guarded branch first the one
            that is taken; END where threads end.
        loop: the number of the outermost loop around the block, or None.
        jump: the branch without a guard, or the return, at the end, if any.
    """

    body: list[Instruction] = field(default_factory=list)
    branch: Instruction | None = None
    successors: tuple[int, ...] = ()
    loop: int | None = None
    jump: Instruction | None = None

    @property
    def instructions(self) -> list[Instruction]:
        """All instructions, the branch included."""
        return [*self.body, self.branch] if self.branch is not None else self.body

    @property
    def first(self) -> Instruction:
        """The first instruction with a source line, or any, or ``ret`` in an empty block."""
        listed = [*self.instructions, self.jump or _NONE]
        return next((each for each in listed if each.location is not None), listed[0])

    @property
    def is_synchronisation(self) -> bool:
        """Whether the block is a barrier or a warp operation."""
        return len(self.body) == 1 and is_synchronisation(self.body[0])


def is_synchronisation(instruction: Instruction) -> bool:
    """Whether an instruction is a barrier or a warp operation."""
    return instruction.opcode in _SYNCHRONISATION


def basic_blocks(function: Function) -> list[BasicBlock]:
    """Return a kernel's blocks in the order in which they should run, from the entry on.

    Args:
        function: a kernel with its calls expanded.
    """
    code = _with_guards_as_branches(function)
    starts = _starts(code, function)
    number = {start: index for index, start in enumerate(starts)}
    blocks = []
    for start, end in zip(starts, [*starts[1:], len(code)], strict=True):
        blocks.append(_block(code, start, end, function, number))
    return _ordered(blocks)


def _with_guards_as_branches(function: Function) -> list[Instruction]:
    """Replace the guards of barriers, warp operations, calls and traps by branches around them."""

    def unguarded(index: int, instruction: Instruction) -> list[Instruction]:
        guard = instruction.guard
        if guard is None or not (
            is_synchronisation(instruction) or _is_call(instruction) or instruction.opcode == "trap"
        ):
            return [instruction]
        label = f"after#{index}"
        opposite = guard.operand if isinstance(guard, Negated) else Negated(guard)
        function.labels[label] = index + 1
        skip = Instruction("bra", (), (Symbol(label),), opposite, instruction.location)
        return [skip, replace(instruction, guard=None)]

    rewrite(function, unguarded)
    return function.code


def rewrite(
    function: Function, replaced: Callable[[int, Instruction], Sequence[Instruction]]
) -> None:
    """Replace each instruction of a function by others; labels stay in front of the first."""
    code: list[Instruction] = []
    moved: dict[int, int] = {}
    for index, instruction in enumerate(function.code):
        moved[index] = len(code)
        code += replaced(index, instruction)
    moved[len(function.code)] = len(code)
    function.code = code
    function.labels = {label: moved[index] for label, index in function.labels.items()}


def _is_call(instruction: Instruction) -> bool:
    return instruction.opcode == "call"


def _ends(instruction: Instruction) -> bool:
    """Whether a basic block ends after an instruction."""
    return instruction.opcode in _ENDING or _fails(instruction)


def _fails(instruction: Instruction) -> bool:
    """Whether an instruction ends threads with an error: a trap or a failed assertion."""
    return instruction.opcode == "trap" or (
        instruction.opcode == "call"
        and any(isinstance(each, Symbol) and each.name in _FAILING for each in instruction.operands)
    )


def _starts(code: list[Instruction], function: Function) -> list[int]:
    starts = {0, *function.labels.values()}
    for index, instruction in enumerate(code):
        if _ends(instruction):
            starts.add(index + 1)
        elif is_synchronisation(instruction):
            starts |= {index, index + 1}
    return sorted(start for start in starts if start < len(code) or start == 0)


def _block(
    code: list[Instruction], start: int, end: int, function: Function, number: dict[int, int]
) -> BasicBlock:
    body = code[start:end]
    following = number.get(end, END)
    if not body or not _ends(body[-1]):
        return BasicBlock(body, None, (following,))
    last = body.pop()

    def block_of(label: str) -> int:
        return number.get(function.labels[label], END)

    if last.opcode == "brx":
        listed = last.operands[1]
        names = function.targets[listed.name if isinstance(listed, (Symbol, Register)) else ""]
        return BasicBlock(body, last, tuple(map(block_of, names)))
    if _fails(last):
        return BasicBlock([*body, last], None, (END,))
    target = END
    if last.opcode == "bra":
        symbol = last.operands[0]
        target = block_of(symbol.name) if isinstance(symbol, Symbol) else END
    if last.guard is None:
        return BasicBlock(body, None, (target,), jump=last)
    return BasicBlock(body, last, (target, following))


def _ordered(blocks: list[BasicBlock]) -> list[BasicBlock]:
    edges = [[to for to in block.successors if to != END] for block in blocks]
    order: list[int] = []
    _arrange(list(range(len(blocks))), 0, edges, blocks, order, None)
    reachable = _reachable(edges)
    reached = [index for index in order if index in reachable]
    place = {index: position for position, index in enumerate(reached)}
    result = []
    for index in reached:
        block = blocks[index]
        block.successors = tuple(END if to == END else place[to] for to in block.successors)
        result.append(block)
    return result


def endless_blocks(blocks: list[BasicBlock]) -> frozenset[int]:
    """Return the numbers of the blocks from which no way leads to the end of the kernel."""
    ending: set[int] = set()
    before = -1
    while before < len(ending):
        before = len(ending)
        for number in range(len(blocks) - 1, -1, -1):
            if any(to == END or to in ending for to in blocks[number].successors):
                ending.add(number)
    return frozenset(range(len(blocks))) - ending


def _reachable(edges: list[list[int]]) -> set[int]:
    seen, todo = {0}, [0]
    while todo:
        for to in edges[todo.pop()]:
            if to not in seen:
                seen.add(to)
                todo.append(to)
    return seen


def _arrange(
    members: list[int],
    entry: int,
    edges: list[list[int]],
    blocks: list[BasicBlock],
    order: list[int],
    loop: int | None,
) -> None:
    """Append ``members`` to ``order``: each before its successors, each loop in one piece."""
    allowed = set(members)
    for component in _components(members, entry, edges, allowed):
        if len(component) == 1 and component[0] not in edges[component[0]]:
            blocks[component[0]].loop = loop
            order.append(component[0])
            continue
        head = _head(component, entry, edges, allowed)
        outermost = head if loop is None else loop
        for index in component:
            blocks[index].loop = outermost
        order.append(head)
        inner = [index for index in component if index != head]
        if inner:
            _arrange(inner, _first_inside(head, inner, edges), edges, blocks, order, outermost)


def _head(component: list[int], entry: int, edges: list[list[int]], allowed: set[int]) -> int:
    """Return the block through which a loop is entered."""
    inside = set(component)
    if entry in inside:
        return entry
    for index in allowed - inside:
        for to in edges[index]:
            if to in inside:
                return to
    return min(component)


def _first_inside(head: int, inner: list[int], edges: list[list[int]]) -> int:
    inside = set(inner)
    return next((to for to in edges[head] if to in inside), inner[0])


def _components(
    members: list[int], entry: int, edges: list[list[int]], allowed: set[int]
) -> list[list[int]]:
    """Return the strongly connected components of ``members`` in topological order.

    This is Tarjan's algorithm without recursion. It finds them in the opposite order.
    """
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    found: list[list[int]] = []
    for root in [entry, *members]:
        if root in index or root not in allowed:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, following = work[-1]
            for to in following:
                if to not in allowed:
                    continue
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    on_stack.add(to)
                    work.append((to, iter(edges[to])))
                    break
                if to in on_stack:
                    low[node] = min(low[node], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    cut = stack.index(node)
                    component = stack[cut:]
                    del stack[cut:]
                    on_stack.difference_update(component)
                    found.append(component)
    return found[::-1]
