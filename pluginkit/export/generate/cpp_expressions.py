"""Generate C++ over ``Dim`` from expressions, with variables for those that are used repeatedly."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pluginkit.tracing.expressions import Expr

_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "mod": "%",
    "shift_left": "<<",
    "shift_right": ">>",
    "and": "&",
    "or": "|",
    "xor": "^",
    "less": "<",
    "less_equal": "<=",
    "equal": "==",
    "both": "&&",
    "either": "||",
}
_CALLS = {
    "floor_div": "floor_div",
    "ceil_div": "ceil_div",
    "max": "dim_max",
    "min": "dim_min",
    "abs": "abs",
    "bit_length": "bit_length",
    "select": "where",
}
#: The negation of each comparison.
_NEGATED = {"less": ">=", "less_equal": ">", "equal": "!="}
_CONDITIONS = frozenset({"less", "less_equal", "equal", "not", "both", "either"})
#: The operations that do not always evaluate all operands.
_CHOOSING = frozenset({"where", "both", "either"})
#: Chains of the same operation that need no parentheses.
_ASSOCIATIVE = frozenset({"add", "mul", "both", "either"})


class Writer:
    """Generates the expressions of one scope of a function.

    Args:
        names: the names of expressions that are not computed, such as symbols.
    """

    def __init__(self, names: Mapping[Expr, str]) -> None:
        self._names = dict(names)

    def inner(self) -> Writer:
        """Return a writer for a nested scope."""
        return Writer(self._names)

    def text(self, expr: Expr) -> str:
        """Return the expression in C++."""
        return self._text(expr, is_operand=False)

    def negated(self, condition: Expr) -> str:
        """Return the negation of a condition in C++."""
        if condition.op == "not":
            return self.text(condition.operands[0])
        return self._operation(Expr(-1, "not", (condition,)))

    def define(self, exprs: Sequence[Expr], later: Iterable[Expr] = ()) -> list[str]:
        """Return definitions of variables for subexpressions that are used more than once.

        Args:
            exprs: the expressions of this scope.
            later: the expressions of nested scopes, which also use the variables.
        """
        certain: Counter[Expr] = Counter()
        uses: Counter[Expr] = Counter()
        for expr in exprs:
            self._count(expr, certain, is_certain=True)
        for expr in (*exprs, *later):
            self._count(expr, uses, is_certain=False)
        lines = []
        for expr in sorted(certain, key=lambda one: one.number):
            if uses[expr] > 1 and expr.op not in _CONDITIONS:
                text = self.text(expr)
                name = f"v{len(self._names)}"
                self._names[expr] = name
                lines.append(f"const Dim {name} = {text};")
        return lines

    def _count(self, expr: Expr, uses: Counter[Expr], *, is_certain: bool) -> None:
        """Count the uses of each subexpression; ``is_certain``: only those always evaluated."""
        if expr.is_constant or expr in self._names:
            return
        uses[expr] += 1
        if uses[expr] > 1:
            return
        always = 1 if is_certain and expr.op in _CHOOSING else len(expr.operands)
        for operand in expr.operands[:always]:
            self._count(operand, uses, is_certain=is_certain)

    def _text(self, expr: Expr, *, is_operand: bool) -> str:
        if expr in self._names:
            return self._names[expr]
        if expr.is_constant:
            return str(expr.value)
        if expr.op in _CALLS:
            operands = [self._dim(operand) for operand in expr.operands]
            return f"{_CALLS[expr.op]}({', '.join(operands)})"
        text = self._operation(expr)
        return f"({text})" if is_operand else text

    def _operation(self, expr: Expr) -> str:
        operands = [self._operand(expr, operand) for operand in expr.operands]
        if expr.op == "where":
            _, first, second = expr.operands
            return f"{operands[0]} ? {self._dim(first)} : {self._dim(second)}"
        if expr.op == "neg":
            return f"-{operands[0]}"
        if expr.op == "not":
            inner = expr.operands[0]
            if inner.op not in _NEGATED:
                return f"!{operands[0]}"
            left, right = (self._operand(inner, each) for each in inner.operands)
            return _compared(left, _NEGATED[inner.op], right, inner)
        if expr.op in _NEGATED:
            return _compared(operands[0], _INFIX[expr.op], operands[1], expr)
        return f" {_INFIX[expr.op]} ".join(operands)

    def _operand(self, outer: Expr, expr: Expr) -> str:
        is_chain = expr.op == outer.op and expr.op in _ASSOCIATIVE and expr is outer.operands[0]
        return self._text(expr, is_operand=not is_chain)

    def _dim(self, expr: Expr) -> str:
        """Return an expression as an argument that is a Dim or converts to one."""
        return f"Dim({expr.value})" if expr.is_constant else self._text(expr, is_operand=True)


#: Each comparison with its sides exchanged.
_EXCHANGED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


#: The largest Dim, which is an int64.
_LARGEST = 2**63 - 1


def _compared(left: str, sign: str, right: str, comparison: Expr) -> str:
    """Return a comparison with the constant on the right; it may exceed the largest Dim."""
    first, second = comparison.operands
    if first.is_constant:
        left, sign, right, second = right, _EXCHANGED[sign], left, first
    if second.is_constant and second.value > _LARGEST:
        sign, right = ("<=" if sign in ("<", "<=", "!=") else ">"), str(_LARGEST)
    return f"{left} {sign} {right}"


def string_literal(text: str) -> str:
    """Return a C++ string literal."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(
        character if ord(character) >= 0x20 else f"\\{ord(character):03o}" for character in quoted
    ).replace("\x7f", "\\177")


def bytes_literal(data: bytes) -> str:
    """Return a C++ string literal for any bytes."""
    return '"' + "".join(f"\\{byte:03o}" for byte in data) + '"'


def text_expression(parts: Sequence[str | Expr], writer: Writer) -> str:
    """Return a std::string expression for an author's text that contains expressions."""
    pieces = [
        string_literal(part) if isinstance(part, str) else f"text({writer.text(part)})"
        for part in parts
    ]
    if not pieces:
        return '""'
    if isinstance(parts[0], str) and len(pieces) > 1:
        pieces[0] = f"std::string({pieces[0]})"
    return " + ".join(pieces)
