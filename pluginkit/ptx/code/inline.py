"""Inline all calls of a kernel.

The kernel then is one list of instructions without a stack, and threads converge after a call as
they do after a branch. A call through a pointer becomes a comparison with the address of each
function that it can mean. A recursive function is inlined into itself until there are about a
thousand copies of it. Calls that are left, of unknown functions or of a deeper recursion, stay in
the code, and the machine says so when a thread comes to one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pluginkit.ptx.text.parse import ParsedModule
from pluginkit.ptx.text.syntax import (
    CARRY,
    Address,
    Function,
    Immediate,
    Instruction,
    Negated,
    Operand,
    Pair,
    Register,
    Symbol,
    Vector,
)
from pluginkit.ptx.unsupported import unsupported

#: How often a recursive function is inlined: in all, and one into another if it calls itself once.
_COPIES, _DEPTH = 1000, 32

#: Functions of the CUDA device runtime, which no module defines.
EXTERNAL = ("vprintf", "__assertfail", "__assert_fail", "malloc", "free")


def expand(module: ParsedModule, kernel: Function) -> Function:
    """Return the kernel with all calls inlined.

    Errors:
        PtxUnsupported: a call cannot be inlined.
    """
    whole = Function(kernel.name, True, kernel.parameters, registers={CARRY: "pred"})
    _Expansion(module, whole).add(kernel, "", {}, ())
    return whole


class _Expansion:
    def __init__(self, module: ParsedModule, whole: Function) -> None:
        self._module = module
        self._whole = whole
        self._calls = 0

    def add(
        self, function: Function, suffix: str, renamed: dict[str, str], path: tuple[str, ...]
    ) -> None:
        """Append a function's code, with ``suffix`` added to the names that it declares."""
        whole = self._whole
        names = dict(renamed)
        for name, variable in function.variables.items():
            names[name] = name + suffix
            whole.variables[name + suffix] = replace(variable, name=name + suffix)
        for name, kind in function.registers.items():
            whole.registers[name + suffix] = kind
        for name, labels in function.targets.items():
            whole.targets[name + suffix] = tuple(label + suffix for label in labels)
            names[name] = name + suffix
        names |= {label: label + suffix for label in function.labels}
        registers = function.registers

        def rename(operand: Operand) -> Operand:
            return _renamed(operand, names, registers, suffix)

        end = f"return{suffix}" if suffix else ""  # the kernel itself, which keeps its names
        at: dict[int, list[str]] = {}
        for label, index in function.labels.items():
            at.setdefault(index, []).append(label + suffix)
        for index, instruction in enumerate(function.code):
            whole.labels |= dict.fromkeys(at.get(index, ()), len(whole.code))
            self._append(instruction, rename, end, (*path, function.name))
        whole.labels |= dict.fromkeys(at.get(len(function.code), ()), len(whole.code))
        if end:
            whole.labels[end] = len(whole.code)

    def _append(
        self,
        instruction: Instruction,
        rename: Callable[[Operand], Operand],
        end: str,
        path: tuple[str, ...],
    ) -> None:
        placed = instruction
        if end:
            guard = instruction.guard
            if guard is not None:
                renamed = rename(guard)
                guard = renamed if isinstance(renamed, (Register, Negated)) else guard
            operands = tuple(map(rename, instruction.operands))
            placed = replace(instruction, guard=guard, operands=operands)
        if placed.opcode == "call":
            self._call(placed, path)
        elif placed.opcode == "ret" and end:
            self._whole.code.append(
                replace(placed, opcode="bra", modifiers=(), operands=(Symbol(end),))
            )
        else:
            self._whole.code.append(placed)

    def _call(self, call: Instruction, path: tuple[str, ...]) -> None:
        vectors = [each.items for each in call.operands if isinstance(each, Vector)]
        callee = next(each for each in call.operands if not isinstance(each, Vector))
        function = self._module.function(callee.name) if isinstance(callee, Symbol) else None
        if isinstance(callee, Symbol) and callee.name in EXTERNAL:
            self._whole.code.append(call)
            return
        if isinstance(callee, Symbol) and function is None:
            raise unsupported(self._whole.name, call, self._module, f"a call of '{callee.name}'")
        starts_with_results = isinstance(call.operands[0], Vector)
        results = vectors.pop(0) if starts_with_results else ()
        arguments = vectors.pop(0) if vectors else ()
        self._calls += 1
        suffix = f"@{self._calls}"
        skip = None
        if call.guard is not None:  # the other threads branch around the call
            skip = f"return{suffix}"
            opposite = (
                call.guard.operand if isinstance(call.guard, Negated) else Negated(call.guard)
            )
            self._whole.code.append(
                replace(call, opcode="bra", modifiers=(), operands=(Symbol(skip),), guard=opposite)
            )
        if any(not isinstance(each, Symbol) for each in (*arguments, *results)):
            raise unsupported(self._whole.name, call, self._module, "a call with register operands")
        if function is not None and self._may_inline(function, path):
            self.add(function, suffix, _places(function, arguments, results), path)
            return
        if isinstance(callee, Register):
            for index, each in enumerate(self._module.called_by_pointer):
                fits = (len(each.parameters), len(each.results)) == (len(arguments), len(results))
                if fits and self._may_inline(each, path):
                    places = _places(each, arguments, results)
                    self._add_if_called(callee, each, f"{suffix}.{index}", places, path, suffix)
        self._whole.code.append(replace(call, guard=None))
        self._whole.labels[f"return{suffix}"] = len(self._whole.code)

    def _may_inline(self, function: Function, path: tuple[str, ...]) -> bool:
        depth = path.count(function.name)
        if not depth:
            return True
        calls = sum(Symbol(function.name) in each.operands for each in function.code)
        return max(calls, 2) ** depth <= _COPIES if calls != 1 else depth <= _DEPTH

    def _add_if_called(
        self,
        pointer: Register,
        function: Function,
        suffix: str,
        places: dict[str, str],
        path: tuple[str, ...],
        whole_call: str,
    ) -> None:
        """Append a function's code for those threads whose pointer is its address."""
        whole, predicate, after = self._whole, f"%is_called{suffix}", f"other{suffix}"
        whole.registers[predicate] = "pred"
        address = Immediate(str(self._module.function_address(function.name)))
        operands = (Register(predicate), pointer, address)
        whole.code.append(Instruction("setp", ("ne", "u64"), operands))
        whole.code.append(Instruction("bra", (), (Symbol(after),), Register(predicate)))
        self.add(function, suffix, places, path)
        whole.code.append(Instruction("bra", (), (Symbol(f"return{whole_call}"),)))
        whole.labels[after] = len(whole.code)


def _places(
    function: Function, arguments: tuple[Operand, ...], results: tuple[Operand, ...]
) -> dict[str, str]:
    """Return the caller's variable for each parameter and result of a function."""
    formal = (*function.parameters, *function.results)
    return {
        parameter.name: given.name
        for parameter, given in zip(formal, (*arguments, *results), strict=False)
        if isinstance(given, Symbol)
    }


def _renamed(
    operand: Operand, names: dict[str, str], registers: dict[str, str], suffix: str
) -> Operand:
    if isinstance(operand, Register):
        return Register(operand.name + suffix) if operand.name in registers else operand
    if isinstance(operand, Symbol):
        return Symbol(names.get(operand.name, operand.name), operand.offset)
    if isinstance(operand, Address) and operand.base is not None:
        base = _renamed(operand.base, names, registers, suffix)
        assert isinstance(base, (Register, Symbol))  # noqa: S101 - renaming keeps the kind
        return Address(base, operand.offset)
    if isinstance(operand, Vector):
        return Vector(tuple(_renamed(item, names, registers, suffix) for item in operand.items))
    if isinstance(operand, Negated):
        return Negated(Register(operand.operand.name + suffix))
    if isinstance(operand, Pair):
        return Pair(
            _renamed(operand.first, names, registers, suffix),
            _renamed(operand.second, names, registers, suffix),
        )
    return operand
