"""Choose the combinations of types in which a plugin's cases run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations, product
from math import prod

from pluginkit.contract.dtypes import DType

#: With at most this many combinations, all of them run.
ALL_UP_TO = 12

TypeBindings = dict[str, DType]
#: Two type variables, each with one dtype.
_Pair = tuple[str, DType, str, DType]


def chosen_bindings(types: Mapping[str, Sequence[DType]]) -> list[TypeBindings]:
    """Return all combinations if they are few, otherwise some that contain every pair of types.

    Most faults depend on one type or on a pair. The number of combinations grows exponentially with
    the type variables, that of a pairwise cover hardly at all. The first combination has the first
    type of every variable.
    """
    if prod(map(len, types.values())) <= ALL_UP_TO or len(types) < 3:
        return [dict(zip(types, one, strict=True)) for one in product(*types.values())]
    return _pairwise_cover(types)


def _pairwise_cover(types: Mapping[str, Sequence[DType]]) -> list[TypeBindings]:
    """Cover every pair greedily: start with an uncovered pair, add the types that cover most."""
    chosen = [{name: dtypes[0] for name, dtypes in types.items()}]
    left: dict[_Pair, None] = dict.fromkeys(  # ordered, so that each run chooses the same
        (a, type_a, b, type_b)
        for a, b in combinations(types, 2)
        for type_a, type_b in product(types[a], types[b])
    )
    _remove(left, chosen[0])
    while left:
        a, type_a, b, type_b = next(iter(left))
        row = {a: type_a, b: type_b}
        for name, dtypes in types.items():
            if name not in row:
                row[name] = max(dtypes, key=partial(_gain, left, row, name))
        row = {name: row[name] for name in types}
        _remove(left, row)
        chosen.append(row)
    return chosen


def _pairs(row: TypeBindings) -> list[_Pair]:
    return [(a, row[a], b, row[b]) for a, b in combinations(row, 2)]


def _remove(left: dict[_Pair, None], row: TypeBindings) -> None:
    for pair in _pairs(row):
        left.pop(pair, None)


def _gain(left: dict[_Pair, None], row: TypeBindings, name: str, dtype: DType) -> int:
    """Count the uncovered pairs that ``dtype`` forms with the types in ``row``."""
    return sum(
        (name, dtype, other, known) in left or (other, known, name, dtype) in left
        for other, known in row.items()
    )
