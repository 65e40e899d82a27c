import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginkit.contract.dims import (
    DimExpr,
    InputDim,
    ceil_div,
    dim_max,
    dim_min,
    evaluate,
    is_static,
    product,
    where,
)
from pluginkit.errors import TensorError, UnknownDimError

N = InputDim(0, 0)
M = InputDim(1, 1)

EXPRESSIONS = {
    "sum": (lambda n, m: n + 2 * m + 3, lambda n, m: n + 2 * m + 3),
    "difference": (lambda n, m: 10_000 - n - m, lambda n, m: 10_000 - n - m),
    "floor": (lambda n, m: (n * m) // 7, lambda n, m: (n * m) // 7),
    "floor of a constant": (lambda n, m: 100 // (n + 1), lambda n, m: 100 // (n + 1)),
    "ceil": (
        lambda n, m: ceil_div(n, 4) + ceil_div(m, n + 1),
        lambda n, m: -(-n // 4) - (-m // (n + 1)),
    ),
    "modulo": (lambda n, m: (n + m) % 5, lambda n, m: (n + m) % 5),
    "max": (lambda n, m: dim_max(n, m, 3), lambda n, m: max(n, m, 3)),
    "min": (lambda n, m: dim_min(n, m, 9), lambda n, m: min(n, m, 9)),
    "product": (lambda n, m: product((n, m, 4)), lambda n, m: n * m * 4),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
@given(n=st.integers(0, 1000), m=st.integers(0, 1000))
def test_symbolic_arithmetic_agrees_with_integers(name: str, n: int, m: int) -> None:
    symbolic, plain = EXPRESSIONS[name]
    expression = symbolic(N, M)
    assert isinstance(expression, DimExpr)
    assert evaluate(expression, [(n,), (0, m)]) == plain(n, m)
    assert symbolic(n, m) == plain(n, m)


def test_neutral_operations_keep_the_dimension_itself() -> None:
    neutral = [N + 0, 0 + N, N - 0, N * 1, 1 * N, N // 1, ceil_div(N, 1), dim_max(N, N), dim_min(N)]
    assert all(dim is N for dim in neutral)


@pytest.mark.parametrize(
    "question",
    [
        lambda: N == 3,
        lambda: N != 3,
        lambda: N < 3,
        lambda: N <= 3,
        lambda: bool(N),
        lambda: int(N),
        lambda: range(N),
    ],
)
def test_questions_about_an_unknown_dimension_are_errors(question) -> None:
    with pytest.raises(
        UnknownDimError, match=r"PK122 dimension input0.shape\[0\] is known only at run time"
    ):
        question()


def test_division_by_an_empty_dimension_is_an_error_not_a_crash() -> None:
    with pytest.raises(TensorError, match="PK121"):
        evaluate(4 // N, [(0,)])


def test_other_operands_are_type_errors() -> None:
    with pytest.raises(TypeError):
        N + 1.5


def test_is_static() -> None:
    assert is_static((1, 2))
    assert not is_static((1, N))
    assert product(()) == 1


def test_where_chooses_a_size() -> None:
    assert where(3 < 4, 5, 6) == 5
    assert where(4 < 3, 5, 6) == 6
