"""Tracing an author's code: expressions, branches, and refusals with the line."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from pluginkit import (
    CudaKernel,
    Input,
    Launch,
    Output,
    Plugin,
    ceil_div,
    float16,
    float32,
    int32,
    known,
    may_hold,
    where,
)
from pluginkit.contract import calls
from pluginkit.contract.tensors import Workspace
from pluginkit.errors import ExportError, InputError
from pluginkit.export.trace import tree
from pluginkit.export.trace.methods import Refusal, TracedPlugin, trace_plugin
from pluginkit.export.trace.steps import TracedLaunch, Values
from pluginkit.export.trace.tree import Branch, Leaf, leaves
from pluginkit.export.variant import ANY, DimRange, Variant

KERNEL = "extern __global__ void work(float* y, const float* x, long long n) {}\n"


def plugin_with(launches: Callable[..., Any], **members: Any) -> Plugin:
    """Return a plugin with one input of rank 2 and these launches."""
    body = {
        "__module__": __name__,
        "types": {"T": (float32, float16)},
        "x": Input("T"),
        "y": Output("T", like="x"),
        "kernel": CudaKernel(KERNEL, "work"),
        "launches": launches,
        "reference": lambda self, x: x,
        **members,
    }
    made: type[Plugin] = type("Traced", (Plugin,), body)
    return made()


def traced(plugin: Plugin, *ranges: DimRange) -> TracedPlugin:
    return trace_plugin(Variant(plugin, (float32,), ((*ranges, ANY, ANY)[:2],)))


def launched(result: object) -> TracedLaunch:
    assert isinstance(result, tuple)
    (launch,) = result
    assert isinstance(launch, TracedLaunch)
    return launch


def argument(result: object, n: int, m: int) -> int:
    """Return the third argument of the only launch, for a shape."""
    values = launched(result).parameters[2]
    assert isinstance(values, Values)
    (number,) = values.numbers
    return number.evaluate({"x.shape[0]": n, "x.shape[1]": m})  # type: ignore[union-attr]


def passes(number: Callable[[Any], Any], *ranges: DimRange) -> TracedPlugin:
    """Trace a plugin that passes ``number(x)`` to its kernel."""

    def launches(self, x, y):  # type: ignore[no-untyped-def]
        return Launch(self.kernel, 1, 32, (y, x, number(x)))

    return traced(plugin_with(launches), *ranges)


@pytest.mark.parametrize(
    "number",
    [
        lambda x: x.size,
        lambda x: ceil_div(x.shape[0], 7) * 3 - x.shape[1],
        lambda x: -(-x.shape[0] // 4) % 5,
        lambda x: -x.shape[1] % 16,
        lambda x: (3 - x.shape[0]) // 4,
        lambda x: min(x.shape[0], 64, x.shape[1]) + max(x.shape),
        lambda x: 1 << (x.shape[0] - 1).bit_length(),
        lambda x: (x.shape[0] | 3) ^ (x.shape[1] & 12),
        lambda x: abs(x.shape[0] - x.shape[1]) >> 1,
        lambda x: sum(divmod(x.shape[0] + 100, 7)),
        lambda x: known(x.shape[0]) ** 2,
        lambda x: 4096 // max(x.shape[0], 1),
    ],
)
def test_arithmetic_is_what_python_computes(number: Callable[[Any], Any]) -> None:
    class Shape:
        def __init__(self, *shape: int) -> None:
            self.shape, self.size = shape, shape[0] * shape[1]

    (result,) = leaves(passes(number).steps)
    for n in (0, 1, 2, 3, 5, 16, 17, 64, 65, 1000):
        for m in (0, 1, 4, 63, 128):
            assert argument(result, n, m) == number(Shape(n, m))


def test_rounding_up_reads_like_rounding_up() -> None:
    (result,) = leaves(passes(lambda x: -(-x.shape[0] // 256)).steps)
    values = launched(result).parameters[2]
    assert isinstance(values, Values)
    assert repr(values.numbers[0]) == "ceil_div(x.shape[0], 256)"


def test_a_comparison_is_a_branch_with_both_sides() -> None:
    def launches(self, x, y):  # type: ignore[no-untyped-def]
        if x.shape[0] > 8:
            return [Launch(self.kernel, 1, 64, (y, x, x.size))] * 2
        return Launch(self.kernel, 1, 32, (y, x, x.size))

    tree = traced(plugin_with(launches)).steps
    assert isinstance(tree, Branch)
    assert repr(tree.condition) == "less(8, x.shape[0])"
    assert [len(one) for one in leaves(tree)] == [2, 1]  # type: ignore[arg-type]


def test_branches_that_differ_in_numbers_are_one_launch() -> None:
    def number(x):  # type: ignore[no-untyped-def]
        return 2 * x.shape[0] if x.shape[0] > 8 else 5

    (result,) = leaves(passes(number).steps)
    assert [argument(result, n, 1) for n in (8, 9)] == [5, 18]


@pytest.mark.parametrize(
    ("question", "ranges"),
    [
        (lambda x: x.shape[0] < 0, ()),
        (lambda x: x.shape[0] * 2 > 200, ((1, 100),)),
        (lambda x: x.size < x.shape[1] * x.shape[0], ()),
        (lambda x: x.shape[0] + x.shape[1] < x.shape[1], ()),
        (lambda x: x.shape[0] % 8 >= 8, ()),
        (lambda x: min(x.shape) > 100, ((1, 100),)),
        (lambda x: x.shape[0] // 4 > 25, ((1, 100),)),
    ],
)
def test_impossible_answers_have_no_branch(
    question: Callable[[Any], Any], ranges: tuple[DimRange, ...]
) -> None:
    def launches(self, x, y):  # type: ignore[no-untyped-def]
        if question(x):
            raise InputError("this cannot be")
        return Launch(self.kernel, 1, 32, (y, x, x.size))

    assert isinstance(traced(plugin_with(launches), *ranges).steps, Leaf)


def test_an_answer_is_remembered() -> None:
    def launches(self, x, y):  # type: ignore[no-untyped-def]
        is_large = x.shape[0] * x.shape[1] >= 1000
        steps = [Launch(self.kernel, 1, 32, (y, x, x.size))] * (3 if is_large else 2)
        return steps[: 3 if x.shape[1] * x.shape[0] > 999 else 1]

    assert [len(one) for one in leaves(traced(plugin_with(launches)).steps)] == [3, 1]  # type: ignore[arg-type]


def test_a_small_loop_is_unrolled() -> None:
    def launches(self, x, y):  # type: ignore[no-untyped-def]
        return [Launch(self.kernel, n + 1, 32, (y, x, x.size)) for n in range(x.shape[0])]

    found = list(leaves(traced(plugin_with(launches), (0, 4)).steps))
    assert sorted(len(one) for one in found) == [0, 1, 2, 3, 4]  # type: ignore[arg-type]


def test_a_static_shape_is_not_traced() -> None:
    def launches(self, x, y):  # type: ignore[no-untyped-def]
        return Launch(self.kernel, int(x.shape[0] / 3), 32, (y, x, float(x.size)))

    (result,) = leaves(traced(plugin_with(launches), (9, 9), (4, 4)).steps)
    assert repr(launched(result).grid) == "(3,)"


def untraceable_int(x: Any) -> Any:
    return int(x.shape[0])


def untraceable_range(x: Any) -> Any:
    return sum(range(x.shape[0]))


def untraceable_float(x: Any) -> Any:
    return 1.5 * x.shape[0]


def untraceable_key(x: Any) -> Any:
    return {1: 2}.get(x.shape[0], 3)


def untraceable_call(x: Any) -> Any:
    return x.shape[0].to_bytes(8, "little")


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (untraceable_int, "known(dim)"),
        (untraceable_range, "bound what a loop counts"),
        (untraceable_float, "compute with integers"),
        (untraceable_key, "compare it with =="),
        (untraceable_call, "compute with"),
    ],
)
def test_code_that_loses_the_trace_is_refused_with_its_line(
    number: Callable[[Any], Any], fix: str
) -> None:
    with pytest.raises(ExportError) as refused:
        passes(number)
    error = refused.value
    line = inspect.getsourcelines(number)[1] + 1
    assert error.code == "PK800"
    assert error.where is not None
    assert f"{__file__}:{line}" in error.where
    assert inspect.getsource(number).splitlines()[1].strip() in error.where
    assert fix in str(error.fix)


def test_a_refusal_that_the_author_catches_still_counts() -> None:
    def launches(self, x, y):  # type: ignore[no-untyped-def]
        try:
            blocks = int(x.shape[0])
        except Exception:
            blocks = 1
        return Launch(self.kernel, blocks, 32, (y, x, x.size))

    with pytest.raises(ExportError, match="PK800"):
        traced(plugin_with(launches))


def test_a_custom_enqueue_is_refused_with_its_line() -> None:
    def enqueue(self, inputs, outputs, workspace, stream):  # type: ignore[no-untyped-def]
        raise AssertionError

    members = {"types": {"T": (float32,)}, "x": Input("T"), "y": Output("T", like="x")}
    body = {"__module__": __name__, **members, "enqueue": enqueue, "reference": lambda self, x: x}
    made: type[Plugin] = type("Enqueuing", (Plugin,), body)
    with pytest.raises(ExportError) as refused:
        traced(made())
    assert refused.value.code == "PK802"
    assert f"{__file__}:{enqueue.__code__.co_firstlineno}" in str(refused.value.where)


@pytest.mark.slow
def test_too_many_paths_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MOST_PATHS", 100)

    def launches(self, x, y):  # type: ignore[no-untyped-def]
        return [
            Launch(self.kernel, 1, 32, (y, x, x.size))
            for n in range(12)
            if x.shape[0] % (n + 20) > x.shape[1] % (n + 30)
        ]

    with pytest.raises(ExportError, match="PK801"):
        traced(plugin_with(launches))


def test_texts_of_errors_keep_their_numbers() -> None:
    def check(self, x):  # type: ignore[no-untyped-def]
        if x.shape[0] > x.shape[1]:
            raise InputError(f"{x} has {x.shape[0] - x.shape[1]:} rows too many")

    plugin = plugin_with(lambda self, x, y: Launch(self.kernel, 1, 32, (y, x, x.size)), check=check)
    trace = traced(plugin)
    (refusal,) = [one for one in leaves(trace.check) if isinstance(one, Refusal)]
    shape = {"x.shape[0]": 5, "x.shape[1]": 3}
    text = "".join(
        part if isinstance(part, str) else str(part.evaluate(shape)) for part in refusal.parts
    )
    inputs = calls.describe_inputs(plugin, [(5, 3)], [float32])
    with pytest.raises(InputError) as raised:
        calls.check(plugin, inputs)
    assert text == str(raised.value)
    # What check refuses beforehand is no branch of the launches.
    assert isinstance(trace.steps, Leaf)


def test_a_division_by_a_dimension_of_0_is_a_refusal() -> None:
    refusals = [
        one for one in leaves(passes(lambda x: 8 // x.shape[0]).steps) if isinstance(one, Refusal)
    ]
    assert [one.parts for one in refusals] == [
        ("ZeroDivisionError: integer division or modulo by zero",)
    ]


def test_a_constant_is_chosen_among_those_declared() -> None:
    kernel = CudaKernel(
        "template <int N> __global__ void work(float*, int) {}\n", "work<{N}>", {"N": (1, 2, 4)}
    )

    def launches(self, x, y):  # type: ignore[no-untyped-def]
        lanes = next(n for n in (4, 2, 1) if x.shape[0] % n == 0)
        return Launch(self.kernel, 1, 32, (y, int32(lanes)), constants={"N": lanes})

    trace = traced(plugin_with(launches, kernel=kernel))
    assert sorted(map(str, trace.kernels)) == ["work<1>", "work<2>", "work<4>"]
    trace = traced(plugin_with(launches, kernel=kernel), (8, 8))
    assert list(map(str, trace.kernels)) == ["work<4>"]


def test_where_is_one_path() -> None:
    made = passes(lambda x: where(x.shape[0] == 1, x.shape[1], x.shape[0] * 2))
    (result,) = leaves(made.steps)
    assert argument(result, 1, 7) == 7
    assert argument(result, 3, 7) == 6


def test_where_uses_known_facts() -> None:
    made = passes(lambda x: where(x.shape[0] == 1, 5, 6), (1, 1))
    (result,) = leaves(made.steps)
    assert argument(result, 1, 7) == 5


def test_a_loop_that_dimensions_end_is_one_path() -> None:
    def launches(self, x, y):  # type: ignore[no-untyped-def]
        left, steps = min(x.shape[0], 64), []
        while may_hold(left > 1):
            steps.append(Launch(self.kernel, where(left > 1, left, 0), 32, (y, x, left)))
            left = (left + 1) // 2
        return steps

    plugin = plugin_with(launches)
    (result,) = leaves(traced(plugin).steps)
    assert isinstance(result, tuple)
    assert len(result) == 6
    for n in (0, 1, 2, 3, 64, 1000):
        grids = [step.grid[0].evaluate({"x.shape[0]": n}) for step in result]  # type: ignore[union-attr]
        inputs = calls.describe_inputs(plugin, [(n, 3)], [float32])
        outputs = calls.describe_outputs(plugin, inputs)
        taken = calls.steps_within(plugin, inputs, outputs, Workspace(0))
        assert [grid for grid in grids if grid] == [step.grid for step in taken]  # type: ignore[union-attr]


def test_an_error_about_too_many_steps_names_fixes(monkeypatch: pytest.MonkeyPatch) -> None:
    def launches(self, x, y):  # type: ignore[no-untyped-def]
        count = next((n for n in range(9) if x.shape[0] <= 3 * n), 9)
        return [Launch(self.kernel, 1, 32, (y, x, count))] * 20

    monkeypatch.setattr(tree, "_MOST_STEPS", 100)
    with pytest.raises(ExportError) as found:
        traced(plugin_with(launches))
    assert found.value.code == "PK801"
    assert "more than 100 steps on its paths" in found.value.message
    for way in ("--shapes INPUT:MIN,OPT,MAX", "static", "where(condition, a, b)"):
        assert way in str(found.value.fix)
