"""Parse the body of a function: declarations, labels and instructions, in nested scopes.

Each piece of inline assembly has a scope of its own, whose registers and labels hide outer ones.
They get names that are unique in the function.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from pluginkit.errors import KernelError
from pluginkit.ptx.text.operands import operands
from pluginkit.ptx.text.syntax import (
    Address,
    Function,
    Instruction,
    Negated,
    Operand,
    Pair,
    Register,
    SourceLocation,
    Symbol,
    UnparsedOperands,
    Variable,
    Vector,
)

_STATEMENT = re.compile(
    r"\s*(?:(?P<loc>\.loc\s[^\n]*)|(?P<brace>[{}])|(?P<label>[\w$]+)\s*:(?!:)"
    r"|(?P<text>[^;]*);)"
)
_REGISTER = re.compile(r"%[\w$.]+")
_BRACKETS = re.compile(r"[{}()]")
_LOC = re.compile(r"\.loc\s+(\d+)\s+(\d+)(?:[^\n]*inlined_at\s+(\d+)\s+(\d+))?")
_INSTRUCTION = re.compile(r"(?:@(!?)([\w$%]+)\s+)?([a-z][\w]*)((?:[.:]+\w+)*)\s*(.*)", re.DOTALL)
_DECLARED = re.compile(r"\.reg\s*\.(\w+)\s+(.+)", re.DOTALL)
_REGISTERS = re.compile(r"([\w$%]+)(?:<(\d+)>)?")
_USED_BYTES = re.compile(r'used_bytes_mask\s+(?:"\s*)?(\d+|0x[0-9a-fA-F]+)')


class _Scope:
    """The names that one pair of braces declares."""

    def __init__(self, number: int, outer: _Scope | None) -> None:
        self.outer = outer
        self.suffix = f"#{number}" if number else ""
        self.registers: set[str] = set()
        self.prefixes: dict[str, int] = {}
        self.names: set[str] = set()
        self.labels: set[str] = set()
        #: The operands that have been read, by their texts; valid until a name is declared.
        self.operands: dict[str, Operand] = {}

    def declares(self, name: str) -> bool:
        """Whether the scope declares a register of that name."""
        if name in self.registers:
            return True
        prefix = name.rstrip("0123456789")
        return (
            name != prefix
            and prefix in self.prefixes
            and int(name[len(prefix) :]) < self.prefixes[prefix]
        )


class BodyReader:
    """Fills a function from the text between its braces.

    Args:
        function: the function to fill.
        declaration: the pattern of a variable's declaration.
        variable_from: returns the variable of a match of that pattern.

    Errors:
        PK350: the text cannot be read.
    """

    def __init__(
        self,
        function: Function,
        declaration: re.Pattern[str],
        variable_from: Callable[[re.Match[str]], Variable],
    ) -> None:
        self._function = function
        self._declaration = declaration
        self._variable_from = variable_from
        self._scopes = 0
        self._location: SourceLocation | None = None
        self._calls: dict[tuple[int, int], SourceLocation] = {}
        self._used_bytes: int | None = None
        self._ranges: dict[str, str] = {}
        self._targets: list[tuple[str, str]] = []

    def read(self, body: str) -> None:
        """Read the whole body."""
        scope = _Scope(0, None)
        scope.names = {each.name for each in (*self._function.parameters, *self._function.results)}
        pending: list[tuple[int, _Scope]] = []
        position, last_label = 0, ""
        while match := _STATEMENT.match(body, position):
            position = match.end()
            if match["loc"]:
                self._locate(match["loc"])
            elif match["brace"] == "{":
                self._scopes += 1
                scope = _Scope(self._scopes, scope)
            elif match["brace"] == "}":
                scope = self._outer(scope)
            elif match["label"]:
                last_label = match["label"]
                scope.labels.add(last_label)
                self._function.labels[last_label + scope.suffix] = len(self._function.code)
            else:
                before = len(self._function.code)
                self._statement(match["text"].strip(), scope, last_label)
                if len(self._function.code) > before:
                    pending.append((before, scope))
        if body[position:].strip():
            raise _unreadable(body[position:].strip())
        self._resolve_labels(pending)

    def _outer(self, scope: _Scope) -> _Scope:
        if scope.outer is None:
            raise KernelError("PK350", f"PTX: braces of {self._function.name} do not match.")
        return scope.outer

    def _locate(self, directive: str) -> None:
        match = _LOC.match(directive)
        if match is None or match[2] == "0":  # line 0: code without a source line
            return
        place, outer = (int(match[1]), int(match[2])), None
        if match[3]:  # the call may be inlined itself: an earlier .loc said so
            call = int(match[3]), int(match[4])
            outer = self._calls.get(call, SourceLocation(*call))
        self._location = self._calls[place] = SourceLocation(*place, outer)

    def _statement(self, text: str, scope: _Scope, last_label: str) -> None:
        if not text:
            return
        if text.startswith(".reg"):
            self._declare_registers(text, scope)
        elif text.startswith(".pragma"):
            used = _USED_BYTES.search(text)
            self._used_bytes = int(used[1], 0) if used else self._used_bytes
        elif text.startswith((".branchtargets", ".calltargets", ".callprototype")):
            names = tuple(re.findall(r"[\w$]+", text.partition(" ")[2]))
            self._function.targets[last_label] = names
        elif text[0] == ".":
            self._declare_variable(text, scope)
        else:
            self._instruction(text, scope)

    def _declare_registers(self, text: str, scope: _Scope) -> None:
        match = _DECLARED.fullmatch(text)
        if match is None:
            raise _unreadable(text)
        kind, names = match.groups()
        scope.operands.clear()
        for name, count in _REGISTERS.findall(names):
            if count:
                scope.prefixes[name] = int(count)
                self._ranges[name + scope.suffix] = kind
            else:
                scope.registers.add(name)
                self._function.registers[name + scope.suffix] = kind

    def _declare_variable(self, text: str, scope: _Scope) -> None:
        match = self._declaration.match(text)
        if match is None:
            return  # .maxntid and the like
        variable = self._variable_from(match)
        scope.names.add(variable.name)
        scope.operands.clear()
        name = variable.name + scope.suffix
        self._function.variables[name] = replace(variable, name=name)

    def _instruction(self, text: str, scope: _Scope) -> None:
        match = _INSTRUCTION.fullmatch(text)
        if match is None:
            raise _unreadable(text)
        negated, guard, opcode, modifiers, rest = match.groups()
        predicate: Register | Negated | None = None
        if guard:
            predicate = self._register(guard, scope)
            predicate = Negated(predicate) if negated else predicate
        found = self._operands(rest, scope)
        parts = tuple(part for part in modifiers.split(".") if part)
        self._function.code.append(
            Instruction(
                opcode, parts, found, predicate, self._location, " ".join(text.split()),
                self._used_bytes,
            )
        )  # fmt: skip
        self._used_bytes = None

    def _operands(self, text: str, scope: _Scope) -> tuple[Operand, ...]:
        """Return the operands in a text; most stand in other instructions of the scope, too."""
        known, found = scope.operands, []
        for part in map(str.strip, text.split(",")):
            operand = known.get(part)
            if operand is None:
                if _REGISTER.fullmatch(part):
                    operand = self._register(part, scope)
                else:
                    read = operands(part) if not _BRACKETS.search(part) else ()
                    if len(read) != 1 or isinstance(read[0], UnparsedOperands):
                        return tuple(self._named(each, scope) for each in operands(text))
                    operand = self._named(read[0], scope)
                known[part] = operand
            found.append(operand)
        return tuple(found)

    def _named(self, operand: Operand, scope: _Scope) -> Operand:
        """Return an operand with names that are unique in the function."""
        if isinstance(operand, Register):
            return self._register(operand.name, scope)
        if isinstance(operand, Symbol):
            return self._symbol(operand, scope)
        if isinstance(operand, Address) and operand.base is not None:
            base = self._named(operand.base, scope)
            if isinstance(base, Symbol):
                base, extra = Symbol(base.name), base.offset
                return Address(base, operand.offset + extra)
            if isinstance(base, Register):
                return Address(base, operand.offset)
        if isinstance(operand, Vector):
            return Vector(tuple(self._named(item, scope) for item in operand.items))
        if isinstance(operand, Negated):
            return Negated(self._register(operand.operand.name, scope))
        if isinstance(operand, Pair):
            return Pair(self._named(operand.first, scope), self._named(operand.second, scope))
        return operand

    def _register(self, name: str, scope: _Scope) -> Register:
        each: _Scope | None = scope
        while each is not None:
            if each.declares(name):
                unique = name + each.suffix
                prefix = name.rstrip("0123456789") + each.suffix
                if unique not in self._function.registers:
                    self._function.registers[unique] = self._ranges[prefix]
                return Register(unique)
            each = each.outer
        return Register(name)  # a special register, or _

    def _symbol(self, symbol: Symbol, scope: _Scope) -> Operand:
        each: _Scope | None = scope
        while each is not None:
            if each.declares(symbol.name):
                return self._register(symbol.name, scope)
            if symbol.name in each.names:
                return Symbol(symbol.name + each.suffix, symbol.offset)
            each = each.outer
        return symbol

    def _resolve_labels(self, pending: list[tuple[int, _Scope]]) -> None:
        """Replace labels in branches by their unique names, now that all labels are known."""
        for index, scope in pending:
            instruction = self._function.code[index]
            if instruction.opcode == "bra" and scope.suffix:
                target = instruction.operands[0]
                each: _Scope | None = scope
                while each is not None and isinstance(target, Symbol):
                    if target.name in each.labels:
                        resolved = Symbol(target.name + each.suffix)
                        self._function.code[index] = instruction.with_operands(resolved)
                        break
                    each = each.outer


def _unreadable(text: str) -> KernelError:
    return KernelError("PK350", f"PTX: '{text[:80]}' cannot be read.")
