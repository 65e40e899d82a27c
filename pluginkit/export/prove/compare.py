"""Make every call on the Python class and on the generated C++, and compare the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pluginkit.errors import ExportError
from pluginkit.export.prove.call import CallRecord, VariantCall
from pluginkit.export.prove.draw import Drawing
from pluginkit.export.prove.python_side import python_answer
from pluginkit.export.trace.methods import TracedPlugin
from pluginkit.kernels.specialise import Specialisation

#: Errors for which the runtime has its own text; only their codes must agree.
_WORDED_BY_RUNTIME = frozenset({"PK112", "PK114", "PK115", "PK118", "PK303", "PK304", "PK305"})


@dataclass(frozen=True)
class Proof:
    """What was compared.

    Attributes:
        calls: how many calls.
        refusals: how many of them were refused, by both.
        steps: launches, copies and fills.
    """

    calls: int
    refusals: int
    steps: int

    def plus(self, other: Proof) -> Proof:
        """Return the sums of two proofs."""
        return Proof(
            self.calls + other.calls, self.refusals + other.refusals, self.steps + other.steps
        )


def prove(
    traced: Sequence[TracedPlugin],
    symbols: Mapping[Specialisation, str],
    answer: Callable[[VariantCall], CallRecord],
    count: int,
) -> Proof:
    """Compare the C++ of some variants with their Python class.

    Args:
        traced: the variants.
        symbols: the name of each kernel in its module.
        answer: makes a call on the C++.
        count: calls for each variant.

    Errors:
        PK806: they differ; the message names shape, step and argument.
    """
    total = Proof(0, 0, 0)
    for one in traced:
        for call in Drawing(one, str(one.variant)).calls(count):
            expected, got = python_answer(call, symbols), answer(call)
            difference = _difference(expected, got)
            if difference:
                raise ExportError(
                    "PK806",
                    f"the exported {type(call.variant.plugin).__name__} differs from the Python "
                    f"class: {difference}.",
                    where=f"{call.variant}, shapes {call}",
                    cause="the generated code is wrong, so nothing is exported.",
                    fix="report it, with the plugin.",
                )
            total = total.plus(Proof(1, int(bool(expected.refusal)), len(expected.steps)))
    return total


def _difference(expected: CallRecord, got: CallRecord) -> str:
    """Describe the first difference; empty if there is none."""
    if expected.refusal or got.refusal:
        return _refusal_difference(expected.refusal, got.refusal)
    for name in ("outputs", "workspace_bytes"):
        if getattr(expected, name) != getattr(got, name):
            return f"{name} is {getattr(got, name)}, in Python {getattr(expected, name)}"
    for number, (one, other) in enumerate(zip(expected.steps, got.steps, strict=False), 1):
        found = _step_difference(one, other)
        if found:
            return f"step {number} of {len(expected.steps)}, {_named(one)}: {found}"
    if len(expected.steps) != len(got.steps):
        return f"it takes {len(got.steps)} steps, in Python {len(expected.steps)}"
    return ""


def _refusal_difference(expected: str, got: str) -> str:
    code = expected[:5]
    if expected == got or (code in _WORDED_BY_RUNTIME and got.startswith(code)):
        return ""
    return f"it answers {got or 'with launches'!r}, in Python {expected or 'with launches'!r}"


def _named(step: Mapping[str, Any]) -> str:
    return f"{step['call']} of {step['function']}" if "function" in step else str(step["call"])


def _step_difference(expected: Mapping[str, Any], got: Mapping[str, Any]) -> str:
    if expected.get("call") != got.get("call"):
        return f"it is a {got.get('call')}"
    for name, value in expected.items():
        if name != "arguments" and got.get(name) != value:
            return f"{name} is {got.get(name)}, in Python {value}"
    arguments = expected.get("arguments", [])
    others = got.get("arguments", [])
    for index, (one, other) in enumerate(zip(arguments, others, strict=False)):
        if one != other:
            return f"argument {index} is {other}, in Python {one}"
    if len(arguments) != len(others):
        return f"it has {len(others)} arguments, in Python {len(arguments)}"
    return ""
