"""Recorded functions compute what the code computes, or nothing."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluginkit.contract.dims import ceil_div, dim_max, dim_min, known, may_hold, where
from pluginkit.tracing.recording import NotRecordableError, Recording

Code = Callable[..., Sequence[Any]]


def recorded(code: Code, *numbers: int) -> Callable[..., list[int] | None]:
    """Return the function that is recorded while the code runs on these numbers."""
    recording = Recording()
    results = code(*map(recording.number, numbers))
    function: Callable[..., list[int] | None] = recording.function(
        lambda text: [f"return [{', '.join(map(text, results))}]"]
    )
    return function


def arithmetic(a: int, b: int) -> Sequence[Any]:
    c = -(-(a + 3 * b) // 7)
    some = [c, a - b, -a, abs(a - b), (a * b) % 11, a // 3, 5 - a, 100 // (1 + abs(b))]
    return [*some, *divmod(a, 5), a**3, (a & 6) | (b ^ 9), 1 << abs(b % 5), a >> 2, ~a]


def branches(a: int, b: int) -> Sequence[Any]:
    total = 0
    for factor in (1, 2, 4):
        if a % factor == 0 and b > factor:
            total = total + a * factor
    return [total, min(a, b, 40), max(a, b), where(a > b, a - b, b), a > 7, a == b, known(a)]


def lengths(a: int, b: int) -> Sequence[Any]:
    sweep = 0
    while may_hold(sweep < a % 4):
        sweep += 1
    bits = (a * a + 1).bit_length()
    return [sweep, bits, ceil_div(a, 4), dim_max(a, b), dim_min(a, 3), *range(abs(b) % 3)]


NUMBERS = st.integers(-60, 60) | st.integers(-(2**70), 2**70)


@pytest.mark.parametrize("code", [arithmetic, branches, lengths])
@settings(deadline=None)
@given(first=st.tuples(NUMBERS, NUMBERS), others=st.lists(st.tuples(NUMBERS, NUMBERS)))
def test_a_function_repeats_the_code(
    code: Code, first: tuple[int, int], others: list[tuple[int, int]]
) -> None:
    function = recorded(code, *first)
    assert function(*first) == [*code(*first)]
    for numbers in others:
        assert function(*numbers) in (None, [*code(*numbers)])


def test_a_function_without_conditions_serves_all_numbers() -> None:
    function = recorded(lambda a, b: [a * b + 1, where(a < b, a, b)], 3, 4)
    assert [function(5, 6), function(-1, 2**80), function(0, 0)] == [
        [31, 5],
        [1 - 2**80, -1],
        [1, 0],
    ]


def test_a_function_gives_up_where_the_code_takes_another_way() -> None:
    function = recorded(lambda a: [a * 2 if a > 10 else a], 11)
    assert [function(12), function(10)] == [[24], None]


@pytest.mark.parametrize(
    "code",
    [
        lambda a, b: [7 if (a > 5) == (b > 5) else 8],
        lambda a, b: [7 if (a > 5) != (b > 5) else 8],
        lambda a, b: [7 if (a > 5) == True else b],  # noqa: E712
        lambda a, b: [7 if (a > 5) in (False,) else b],
    ],
)
def test_comparisons_are_compared_as_bools(code: Code) -> None:
    for first in ((2, 3), (2, 9), (9, 2), (9, 9)):
        function = recorded(code, *first)
        for numbers in ((2, 3), (2, 9), (9, 2), (9, 9)):
            assert function(*numbers) in (None, [*code(*numbers)])
        assert function(*first) == [*code(*first)]


def test_a_function_raises_no_error_of_the_code() -> None:
    """The code divides and shifts, whatever it does with the result."""

    def code(a: int, b: int) -> Sequence[Any]:
        a // b
        1 << b
        return [a]

    function = recorded(code, 5, 3)
    assert [function(6, 2), function(6, 0), function(6, -1)] == [[6], None, None]


@cache
def kept(number: int) -> int:
    return number + 1


@pytest.mark.parametrize(
    "code",
    [
        lambda a: kept(a),  # whoever asks for an equal number later would get the recorded one
        lambda a: {a: 1},
        lambda a: f"{a}",
        lambda a: a * 0.5,
        lambda a: a / 2,
        lambda a: float(a),
        lambda a: 2.5**a,
        lambda a: round(a * 10, -1),
        lambda a: a + Recording().number(2),
        lambda a: [a + n for n in range(5000)],
    ],
)
def test_what_cannot_be_repeated_is_refused(code: Callable[[Any], Any]) -> None:
    assert not issubclass(NotRecordableError, Exception)  # which an author's code may catch
    with pytest.raises(NotRecordableError):
        code(Recording().number(4))
    assert kept(4) == 5


def test_a_plain_number_is_the_only_one_that_its_function_serves() -> None:
    function = recorded(lambda a: [int(a) + 1, sum(range(a))], 4)
    assert [function(4), function(5)] == [[5, 6], None]
