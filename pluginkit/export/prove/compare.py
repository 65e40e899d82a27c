"""Make calls of the Python class and of the generated C++, and compare the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pluginkit.contract import calls
from pluginkit.contract.dims import product
from pluginkit.errors import ExportError
from pluginkit.export.generate.generate_library import GeneratedLibrary
from pluginkit.export.progress import Report, silent
from pluginkit.export.prove.call import CallRecord, VariantCall
from pluginkit.export.prove.python_side import python_answer
from pluginkit.export.prove.sample_calls import CallSampler
from pluginkit.export.trace.methods import (
    WORKSPACE,
    Refusal,
    symbol_of_dim,
    symbol_of_value,
)
from pluginkit.export.trace.tree import Branch, Tree, leaves
from pluginkit.tracing.expressions import Expr

#: Errors that the runtime words differently; only their codes must agree.
_WORDED_BY_RUNTIME = frozenset({"PK112", "PK114", "PK115", "PK118", "PK303", "PK304", "PK305"})
#: A variant that shares its functions with an earlier one gets this many times fewer calls.
_LESS = 6
#: The calls of all variants together, and the fewest for each.
_CALLS, _LEAST = 4000, 60
#: The elements of the largest output. A call with a larger one cannot be; Python counts beyond 64
#: bits, and C++ refuses to.
_MOST_ELEMENTS = 2**60


@dataclass(frozen=True)
class Proof:
    """What was compared.

    Attributes:
        calls: the number of calls, each with other shapes, types or attributes.
        refusals: how many of them both sides refused.
        steps: the number of launches, copies and fills.
        shapes: the number of different shapes of each plugin class, by name.
        paths: the number of paths through ``launches``, from one branch on dimensions to the next,
            in the variants with functions of their own.
        taken: how many of them a call took.
    """

    calls: int = 0
    refusals: int = 0
    steps: int = 0
    shapes: Mapping[str, int] = field(default_factory=dict)
    paths: int = 0
    taken: int = 0


def prove(
    library: GeneratedLibrary,
    answer: Callable[[VariantCall], CallRecord],
    count: int,
    report: Report = silent,
) -> Proof:
    """Compare the C++ of a library's variants with their Python class.

    Variants that differ only in types often share their C++ functions, and launch other kernels.
    The first of them gets all calls, the others a sixth.

    Args:
        library: the library.
        answer: makes a call of the C++.
        count: calls for each variant with functions of its own; if there are many, fewer, so that
            there are about 4000 calls in all.
        report: called with the progress.

    Errors:
        PK806: they differ; the message names shape, step and argument.
    """
    symbols = library.symbols
    count = min(count, max(_CALLS // len(set(library.code)), _LEAST))
    made = refusals = steps = paths = taken = 0
    seen: set[tuple[str, ...]] = set()
    shapes: dict[str, set[object]] = {}
    for number, (one, code) in enumerate(zip(library.traced, library.code, strict=True)):
        report("comparing C++ with Python", number, len(library.traced))
        own = shapes.setdefault(type(one.variant.plugin).__name__, set())
        asked = count if code not in seen else max(count // _LESS, 1)
        found: set[int] = set()
        for call in CallSampler(one, str(one.variant)).calls(asked):
            expected = python_answer(call, symbols)
            if any(product(shape) > _MOST_ELEMENTS for shape, _ in expected.outputs):
                continue
            got = answer(call)
            difference = _difference(expected, got)
            if difference:
                raise _different(call, difference)
            made, steps = made + 1, steps + len(expected.steps)
            refusals += bool(expected.refusal)
            own.add(call.dims)
            if code not in seen and not expected.refusal:
                found.add(_path_of(one.steps, _point_of(call, expected)))
        if code not in seen:
            paths += sum(not isinstance(each, Refusal) for each in leaves(one.steps))
            taken += len(found)
        seen.add(code)
    counts = {name: len(each) for name, each in shapes.items()}
    return Proof(made, refusals, steps, counts, paths, taken)


def _point_of(call: VariantCall, record: CallRecord) -> dict[str, int]:
    """Return the value of each symbol in a trace of ``launches``."""
    point = {WORKSPACE: record.workspace_bytes}
    ports = calls.present_ports(call.variant.plugin)
    for port, dims in zip(ports, call.dims, strict=True):
        name_of = symbol_of_dim if port.is_on_device else symbol_of_value
        point |= {name_of(port.name, index): dim for index, dim in enumerate(dims)}
    return point


def _path_of(tree: Tree[Any], point: Mapping[str, int]) -> int:
    """Return the identity of the leaf to which a call's dimensions lead."""
    known: dict[Expr, int] = {}
    while isinstance(tree, Branch):
        holds = tree.condition.evaluate(point, known)
        tree = tree.if_true if holds else tree.if_false
    return id(tree)


def _different(call: VariantCall, difference: str) -> ExportError:
    return ExportError(
        "PK806",
        f"the exported {type(call.variant.plugin).__name__} differs from the Python class: "
        f"{difference}.",
        where=f"{call.variant}, shapes {call}",
        cause="the code that was generated is wrong; nothing is exported.",
        fix="report it, with the plugin.",
    )


def _difference(expected: CallRecord, got: CallRecord) -> str:
    """Return a description of the first difference, or ``""``."""
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
