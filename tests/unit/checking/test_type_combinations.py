"""Cases run in all combinations of few types, and in every pair of many."""

from itertools import combinations, product

import pytest

from pluginkit import FLOAT_TYPES, OUTPUT_TYPES, float16, float32, int32
from pluginkit.checking.type_combinations import chosen_bindings


def types(count, dtypes):
    return {f"T{index}": dtypes for index in range(count)}


@pytest.mark.parametrize(
    ("declared", "count"),
    [
        ({}, 1),
        (types(1, OUTPUT_TYPES), len(OUTPUT_TYPES)),
        (types(2, OUTPUT_TYPES), len(OUTPUT_TYPES) ** 2),
        (types(3, (float32, float16)), 8),
    ],
)
def test_few_combinations_are_all_chosen_in_declaration_order(declared, count):
    expected = [dict(zip(declared, one, strict=True)) for one in product(*declared.values())]
    assert len(expected) == count
    assert chosen_bindings(declared) == expected


@pytest.mark.parametrize(
    ("declared", "most"),
    [
        (types(3, OUTPUT_TYPES), 48),
        (types(4, OUTPUT_TYPES), 55),
        (types(3, FLOAT_TYPES), 12),
        (types(6, FLOAT_TYPES), 20),
        (types(10, OUTPUT_TYPES), 80),
        ({"A": OUTPUT_TYPES, "B": (float32,), "C": (float16, int32), "D": OUTPUT_TYPES}, 48),
    ],
)
def test_of_many_every_pair_is_chosen(declared, most):
    chosen = chosen_bindings(declared)
    for a, b in combinations(declared, 2):
        met = {(row[a], row[b]) for row in chosen}
        assert met == set(product(declared[a], declared[b])), (a, b)
    assert len(chosen) <= most
    assert chosen[0] == {name: dtypes[0] for name, dtypes in declared.items()}
    assert all(list(row) == list(declared) for row in chosen)
    assert chosen == chosen_bindings(declared)
