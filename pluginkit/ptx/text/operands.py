"""Parse the operands of an instruction."""

from __future__ import annotations

import re

from pluginkit.ptx.text.syntax import (
    Address,
    Immediate,
    Negated,
    Operand,
    Pair,
    Register,
    Symbol,
    UnparsedOperands,
    Vector,
)

_WORD = re.compile(
    r"\s*(0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}|\d+\.\d*(?:[eE][-+]?\d+)?|0[xX][0-9a-fA-F]+U?"
    r"|\d+U?|[\w$%.]+|[\[\]{}(),|!+\-=])"
)
_NUMBER = re.compile(r"\d")


def operands(text: str) -> tuple[Operand, ...]:
    """Return the operands in ``text``, which are separated by commas."""
    try:
        return tuple(_Reader(text).listed(""))
    except _UnreadableError:
        return (UnparsedOperands(text),)


def array_elements(operand: Operand) -> tuple[Operand, ...]:
    """Return the elements of an initialiser, nested or not."""
    if isinstance(operand, Vector):
        return tuple(element for item in operand.items for element in array_elements(item))
    return (operand,)


class _UnreadableError(Exception):
    """The text has a form that this parser does not know."""


class _Reader:
    def __init__(self, text: str) -> None:
        self._words: list[str] = _WORD.findall(text)
        self._words.append("")
        self._next = 0

    def _take(self) -> str:
        if self._next == len(self._words):
            raise _UnreadableError
        word = self._words[self._next]
        self._next += 1
        return word

    def _is_next(self, word: str) -> bool:
        if self._words[min(self._next, len(self._words) - 1)] == word and word:
            self._next += 1
            return True
        return False

    def listed(self, closing: str) -> list[Operand]:
        """Return the operands up to a closing bracket, or to the end."""
        found: list[Operand] = []
        while self._take() != closing:
            self._next -= 1
            found.append(self._operand())
            if not self._is_next(",") and self._words[self._next : self._next + 1] != [closing]:
                raise _UnreadableError
        return found

    def _operand(self) -> Operand:
        word = self._take()
        if word in ("{", "("):
            return Vector(tuple(self.listed("}" if word == "{" else ")")))
        if word == "[":
            return self._address()
        if word == "!":
            return Negated(Register(self._take()))
        if word == "-":
            return Immediate("-" + self._take())
        if _NUMBER.match(word):
            return Immediate(word)
        if word == "generic" and self._is_next("("):
            inner = self._operand()
            self._take()
            return Symbol(inner.name, self._offset()) if isinstance(inner, Symbol) else inner
        operand: Operand = named(word)
        if self._is_next("|"):
            return Pair(operand, named(self._take()))
        if isinstance(operand, Symbol):
            return Symbol(operand.name, self._offset())
        return operand

    def _offset(self) -> int:
        if self._is_next("+"):
            sign = -1 if self._is_next("-") else 1
            return sign * int(self._take().rstrip("U"), 0)
        if self._is_next("-"):
            return -int(self._take().rstrip("U"), 0)
        return 0

    def _address(self) -> Address:
        word = self._take()
        if _NUMBER.match(word) or word == "-":
            number = int(word.rstrip("U"), 0) if word != "-" else -int(self._take(), 0)
            address = Address(None, number)
        else:
            base = named(word)
            address = Address(base, self._offset())
        if not self._is_next("]"):
            raise _UnreadableError
        return address


def named(word: str) -> Register | Symbol:
    """Return a name; whether it is a variable is decided once the declarations are known."""
    return Register(word) if word.startswith("%") or word == "_" else Symbol(word)
