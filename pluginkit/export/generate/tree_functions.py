"""Generate function bodies from trees: an ``if`` for each branch, a return for each leaf."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pluginkit.export.generate.cpp_expressions import Writer, bytes_literal, text_expression
from pluginkit.export.trace.methods import Refusal
from pluginkit.export.trace.steps import (
    ArrayArgument,
    BufferSlice,
    Number,
    TracedArgument,
    TracedCopy,
    TracedFill,
    TracedLaunch,
    TracedStep,
    Values,
)
from pluginkit.export.trace.tree import Branch, Leaf, Tree, leaves
from pluginkit.tracing.expressions import Expr

_INDENT = "    "

#: Returns the lines of a leaf.
LeafWriter = Callable[[Any, Writer], list[str]]


@dataclass(frozen=True)
class SharedLaunch:
    """A call of the function of a launch that occurs on several branches.

    Attributes:
        function: the function's name.
    """

    function: str


def with_shared_launches(tree: Tree[Any], named: Callable[[TracedLaunch], str]) -> Tree[Any]:
    """Replace launches that occur more than once by calls of functions.

    Args:
        tree: the tree of ``launches``.
        named: writes a function for a launch, and returns its name.
    """
    lists = [result for result in leaves(tree) if isinstance(result, tuple)]
    counted = Counter(step for steps in lists for step in steps if isinstance(step, TracedLaunch))
    shared: dict[TracedStep, SharedLaunch] = {
        launch: SharedLaunch(named(launch)) for launch, count in counted.items() if count > 1
    }

    def replaced(part: Tree[Any]) -> Tree[Any]:
        if isinstance(part, Branch):
            return Branch(part.condition, replaced(part.if_true), replaced(part.if_false))
        if not isinstance(part.result, tuple):
            return part
        return Leaf(tuple(shared.get(step, step) for step in part.result))

    return replaced(tree) if shared else tree


def exprs_in(value: Any) -> Iterator[Expr]:
    """Yield the expressions in a result, in order."""
    if isinstance(value, Expr):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from exprs_in(each)
    elif isinstance(value, Refusal):
        yield from exprs_in(value.parts)
    elif isinstance(
        value, (TracedLaunch, TracedCopy, TracedFill, BufferSlice, Values, ArrayArgument)
    ):
        for each in vars(value).values():
            yield from exprs_in(each)


def constants_of(chosen: Expr) -> Iterator[int]:
    """Yield the constants that an expression chooses between."""
    if chosen.op == "where":
        yield from constants_of(chosen.operands[1])
        yield from constants_of(chosen.operands[2])
    else:
        yield chosen.value


def _all_exprs(tree: Tree[Any]) -> Iterator[Expr]:
    if isinstance(tree, Leaf):
        yield from exprs_in(tree.result)
    else:
        yield tree.condition
        yield from _all_exprs(tree.if_true)
        yield from _all_exprs(tree.if_false)


def _size(tree: Tree[Any]) -> int:
    return 1 if isinstance(tree, Leaf) else _size(tree.if_true) + _size(tree.if_false)


def body(tree: Tree[Any], writer: Writer, leaf: LeafWriter) -> list[str]:
    """Return the statements of a function that follows the tree; every path returns."""
    if isinstance(tree, Leaf):
        lines = writer.define(list(exprs_in(tree.result)))
        return lines + leaf(tree.result, writer)
    is_negated, first, second = _short_side_first(tree)
    below = [*_all_exprs(first), *_all_exprs(second)]
    lines = writer.define([tree.condition], below)
    text = writer.negated(tree.condition) if is_negated else writer.text(tree.condition)
    lines.append(f"if ({text}) {{")
    lines += [_INDENT + line for line in body(first, writer.inner(), leaf)]
    lines.append("}")
    return lines + body(second, writer, leaf)


def _short_side_first(tree: Branch[Any]) -> tuple[bool, Tree[Any], Tree[Any]]:
    """Return whether to negate the condition, and which sides go inside the ``if`` and after it."""
    if _size(tree.if_true) <= _size(tree.if_false):
        return False, tree.if_true, tree.if_false
    return True, tree.if_false, tree.if_true


class Leaves:
    """Generates the results of one variant's methods.

    Args:
        inputs: for each input in device memory the index of the declared input.

    Attributes:
        kernels: the numbers of the launched kernels, in the order of the variant's table.
    """

    def __init__(self, inputs: Sequence[int]) -> None:
        self._inputs = inputs
        self.kernels: list[int] = []

    def check(self, result: Refusal | None, writer: Writer) -> list[str]:
        """Return the lines that return a message, or an empty one."""
        if result is None:
            return ['return "";']
        return [f"return {text_expression(result.parts, writer)};"]

    def number(self, result: Refusal | Expr, writer: Writer) -> list[str]:
        """Return the lines that return a number or throw."""
        if isinstance(result, Refusal):
            return _thrown(result, writer)
        return [f"return {writer.text(result)};"]

    def steps(
        self, result: Refusal | tuple[TracedStep | SharedLaunch, ...], writer: Writer
    ) -> list[str]:
        """Return the lines that call the recorder, or throw."""
        if isinstance(result, Refusal):
            return _thrown(result, writer)
        lines = [line for step in result for line in self._step(step, writer)]
        return [*lines, "return;"]

    def _step(self, step: TracedStep | SharedLaunch, writer: Writer) -> list[str]:
        if isinstance(step, SharedLaunch):
            return [f"{step.function}(context, recorder, kernels);"]
        if isinstance(step, TracedCopy):
            target, source = self._view(step.target, writer), self._view(step.source, writer)
            return [f"recorder.copy({target}, {source});"]
        if isinstance(step, TracedFill):
            target = self._view(step.target, writer)
            return [f"recorder.fill({target}, {writer.text(step.byte)});"]
        lines = [
            f"// {step.kernel}",
            f"recorder.launch(kernels[{self._kernel(step.number, writer)}], "
            f"{_dims(step.grid, writer)}, {_dims(step.block, writer)}, "
            f"{writer.text(step.shared_bytes)},",
        ]
        lines.append(f"{_INDENT}Arguments()")
        for parameter in step.parameters:
            lines += [f"{_INDENT * 2}{each}" for each in self._parameter(parameter, writer)]
        lines[-1] += ");"
        return lines

    def _kernel(self, number: Expr, writer: Writer) -> str:
        """Return a kernel's index in the variant's table, or an expression that chooses one."""
        if number.op == "where":
            condition, first, second = number.operands
            chosen = self._kernel(first, writer), self._kernel(second, writer)
            return f"({writer.text(condition)} ? {chosen[0]} : {chosen[1]})"
        if number.value not in self.kernels:
            self.kernels.append(number.value)
        return str(self.kernels.index(number.value))

    def _view(self, pointer: BufferSlice, writer: Writer) -> str:
        offset, nbytes = writer.text(pointer.offset), writer.text(pointer.nbytes)
        if pointer.kind == "workspace":
            return f"workspace_view({offset}, {nbytes})"
        index = self._inputs[pointer.index] if pointer.kind == "input" else pointer.index
        shift = "" if pointer.offset.is_constant and not pointer.offset.value else f", {offset}"
        return f"{pointer.kind}_view({index}, {nbytes}{shift})"

    def _parameter(self, parameter: TracedArgument, writer: Writer) -> list[str]:
        if parameter is None:
            return [".null()"]
        if isinstance(parameter, BufferSlice):
            return [f".pointer({self._view(parameter, writer)})"]
        if isinstance(parameter, ArrayArgument):
            view, shape = self._view(parameter.pointer, writer), _dims(parameter.shape, writer)
            return [f".array({view}, {shape}, {parameter.itemsize})"]
        return _values(parameter, writer)


def _thrown(refusal: Refusal, writer: Writer) -> list[str]:
    return [f"throw Refusal({text_expression(refusal.parts, writer)});"]


def _dims(exprs: Sequence[Expr], writer: Writer) -> str:
    return f"Dims{{{', '.join(map(writer.text, exprs))}}}"


def _values(values: Values, writer: Writer) -> list[str]:
    if values.dtype.is_floating or values.dtype.name == "bool":
        if len(values.numbers) == 1 or values.is_split:
            return [_plain(values, number, writer) for number in values.numbers]
        return [_packed(values)]
    numbers = [_number(number, writer) for number in values.numbers]
    if len(numbers) == 1 or values.is_split:
        return [f".{values.dtype.name}({number})" for number in numbers]
    return [f".{values.dtype.name}(Dims{{{', '.join(numbers)}}})"]


def _plain(values: Values, number: Number, writer: Writer) -> str:
    """Return a float or a bool in C++."""
    if values.dtype.name == "bool":
        text = writer.text(number) if isinstance(number, Expr) else str(bool(number)).lower()
        return f".boolean({text})"
    if isinstance(number, Expr):
        return f".{values.dtype.name}(static_cast<double>(Dim({writer.text(number)}).value()))"
    is_literal = math.isfinite(number)
    return f".{values.dtype.name}({number!r})" if is_literal else _packed(values)


def _number(number: Number, writer: Writer) -> str:
    return writer.text(number) if isinstance(number, Expr) else str(int(number))


def _packed(values: Values) -> str:
    """Return constants that have no C++ literal as bytes."""
    import numpy as np

    data = np.array(list(values.numbers), values.dtype.numpy).tobytes()
    return f".bytes({bytes_literal(data)}, {len(data)})"
