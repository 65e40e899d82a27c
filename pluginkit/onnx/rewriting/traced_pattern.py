"""Turn a pattern that is written as a function into the :class:`Op` that it describes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy.typing as npt

from pluginkit.errors import DeclarationError
from pluginkit.onnx.inference.element_types import elem_type
from pluginkit.onnx.rewriting.pattern import (
    AnyOf,
    Constant,
    Op,
    Optional,
    PatternOperand,
    value_names,
)

#: The operators of ONNX's own domain whose two inputs may change places.
_COMMUTATIVE = frozenset(
    [
        "Add",
        "And",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "Equal",
        "Max",
        "Min",
        "Mul",
        "Or",
        "Sum",
        "Xor",
    ]
)


class Operators:
    """The operators of one domain: ``op.Mul(x, y)`` is a Mul of x and y.

    The arguments are the node's inputs, as in :class:`Op`. Keywords are attributes: a value, or a
    function that decides whether a value fits; ``to`` of a Cast is the name of a dtype. ONNX's own
    commutative operators match with their two inputs in either order.
    """

    def __init__(self, domain: str) -> None:
        self._domain = domain

    def __getattr__(self, op_type: str) -> Callable[..., Op]:
        if op_type.startswith("__"):
            raise AttributeError(op_type)
        return partial(self._node, op_type)

    def _node(self, op_type: str, *inputs: Any, **attributes: Any) -> Op:
        commutative = (
            not self._domain
            and op_type in _COMMUTATIVE
            and len(inputs) == 2
            and inputs[1] not in (..., inputs[0])
        )
        if isinstance(attributes.get("to"), str) and op_type == "Cast":
            attributes["to"] = elem_type(attributes["to"])
        return Op(
            op_type, *inputs, domain=self._domain, commutative=commutative, attributes=attributes
        )


class PatternBuilder(Operators):
    """The ``op`` of a traced pattern: ONNX's operators, and words for special inputs.

    Methods of the nodes give the rest: ``op.Add(x, y).named("sum")`` names a node, and
    ``op.Split(x).output(1)`` is a further output.
    """

    def __init__(self) -> None:
        super().__init__("")

    def domain(self, name: str) -> Operators:
        """Return the operators of another domain: ``op.domain("com.example").Scale(x)``."""
        return Operators(name)

    def node(self, op_types: tuple[str, ...], *inputs: Any, **attributes: Any) -> Op:
        """Return a node of any of several operators of ONNX's own domain."""
        return Op(op_types, *inputs, attributes=attributes)

    def constant(
        self, operand: PatternOperand, value: npt.ArrayLike | None = None
    ) -> Constant | Optional:
        """Require a parameter's value to be stored in the model, with this value if one is given.

        A constant that needs no name is written as a plain number: ``op.Pow(x, 2)``.
        """
        if isinstance(operand, Optional) and isinstance(operand.element, str):
            return Optional(Constant(operand.element, value))
        if not isinstance(operand, str):
            raise DeclarationError("PK420", f"constant({operand!r}): expected a parameter.")
        return Constant(operand, value)

    def any_of(self, *alternatives: Any) -> AnyOf:
        """Return alternatives for one input; the first that fits is taken."""
        return AnyOf(*alternatives)

    def optional(self, operand: Op) -> Optional:
        """Let an input be absent that otherwise comes from a certain node."""
        return Optional(operand)


def trace_pattern(owner: type, function: Callable[..., Op]) -> Op:
    """Call a pattern function and return the node that it ends with.

    The function's first parameter gets a :class:`PatternBuilder`. Every further parameter is a
    value of the pattern; one with the default None is an input that may be absent.

    Args:
        owner: the class that defines the pattern.
        function: the function, without ``self``.

    Errors:
        PK420: the function fails or does not describe a pattern; the error names the line.
    """
    operands = _operands_of(owner, function)
    try:
        traced = function(PatternBuilder(), *operands.values())
    except Exception as error:
        raise DeclarationError(
            "PK420",
            f"{owner.__name__}.pattern() failed: {type(error).__name__}.",
            where=_line_that_failed(error, function) or _line_of(function),
            cause=error.message if isinstance(error, DeclarationError) else str(error),
            fix="build the pattern from op.SomeOperator(...) and the parameters.",
        ) from error
    if not isinstance(traced, Op):
        raise _wrong(
            owner,
            function,
            f"returned {traced!r}; expected a node.",
            "return the last node, such as op.Mul(x, op.Sigmoid(x)).",
        )
    used = value_names(traced)
    for name in sorted(operands.keys() - used):
        raise _wrong(
            owner, function, f"does not use its parameter '{name}'.", "use it, or take it out."
        )
    for name in sorted(used - operands.keys()):
        raise _wrong(
            owner,
            function,
            f"uses the value '{name}', which is none of its parameters.",
            f"add the parameter '{name}'; values cannot be added or multiplied with operators.",
        )
    return traced


def _operands_of(owner: type, function: Callable[..., Op]) -> dict[str, PatternOperand]:
    """Return the operand of each parameter after the first."""
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise _wrong(
            owner,
            function,
            "has no parameter 'op'; expected pattern(self, op, x, ...).",
            "write def pattern(self, op, x): return op.Relu(x).",
        )
    operands: dict[str, PatternOperand] = {}
    for each in parameters[1:]:
        if each.kind is not each.POSITIONAL_OR_KEYWORD or each.default not in (each.empty, None):
            raise _wrong(
                owner,
                function,
                f"has the parameter '{each}'; expected a name, or a name with =None.",
                "give each value of the pattern a parameter.",
            )
        operands[each.name] = each.name if each.default is each.empty else Optional(each.name)
    return operands


def _wrong(owner: type, function: Callable[..., Op], message: str, fix: str) -> DeclarationError:
    return DeclarationError(
        "PK420", f"{owner.__name__}.pattern() {message}", where=_line_of(function), fix=fix
    )


def _line_of(function: Callable[..., Any]) -> str:
    code = inspect.unwrap(function).__code__
    return f"{code.co_filename}, line {code.co_firstlineno}"


def _line_that_failed(error: Exception, function: Callable[..., Any]) -> str | None:
    """Return the deepest line of the traceback in the file that defines the function."""
    file = inspect.unwrap(function).__code__.co_filename
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = f"{file}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return line
