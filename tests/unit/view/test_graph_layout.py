"""Rows, order and lanes."""

import random

import pytest

from pluginkit.view.graph_layout import DrawnValue, Layout, layout_graph


def ranks_of(layout: Layout) -> dict[int, int]:
    return {cell: rank for rank, row in enumerate(layout.rows) for cell in row}


def chain(length: int) -> list[DrawnValue]:
    return [DrawnValue(cell, (cell + 1,)) for cell in range(length - 1)]


def crossings_of(layout: Layout) -> int:
    at = {cell: place for row in layout.rows for place, cell in enumerate(row)}
    return sum(
        (at[a] - at[c]) * (at[b] - at[d]) < 0
        for gap in layout.wires
        for i, (a, b, _) in enumerate(gap)
        for c, d, _ in gap[:i]
    )


def routes(layout: Layout, value: int) -> dict[int, int]:
    """What lies right above each cell or lane on the way of a value."""
    return {lower: upper for gap in layout.wires for upper, lower, name in gap if name == value}


def test_each_cell_is_placed_once_below_what_it_reads() -> None:
    random_ = random.Random(1)  # noqa: S311  # reproducible, not secret
    values = [
        DrawnValue(cell, tuple(sorted(random_.sample(range(cell + 1, 120), min(3, 119 - cell)))))
        for cell in range(119)
    ]
    layout = layout_graph(120, values)
    ranks = ranks_of(layout)
    assert sum(map(len, layout.rows)) == len(ranks)
    assert set(range(120)) <= set(ranks)
    for value in values:
        for reader in value.readers:
            assert ranks[reader] > ranks[value.source]


def test_ranks_are_longest_paths() -> None:
    diamond = [DrawnValue(0, (1, 3)), DrawnValue(1, (2,)), DrawnValue(2, (3,))]
    assert ranks_of(layout_graph(4, diamond))[3] == 3


def test_a_long_wire_runs_through_one_lane_in_each_row_between() -> None:
    values = [*chain(6), DrawnValue(0, (3, 5))]
    layout = layout_graph(6, values)
    way, lanes = routes(layout, 5), [cell for row in layout.rows for cell in row if cell >= 6]
    assert len(lanes) == 4  # rows 1 to 4, shared by both readers
    above, steps = way[5], 0
    while above >= 6:
        above, steps = way[above], steps + 1
    assert (above, steps) == (0, 4)
    ranks = ranks_of(layout)
    for rank, gap in enumerate(layout.wires):
        for upper, lower, _ in gap:
            assert (ranks[upper], ranks[lower]) == (rank, rank + 1)


def test_a_wire_too_long_for_its_model_is_named_at_both_ends_instead() -> None:
    length = 1000
    layout = layout_graph(length, [*chain(length), DrawnValue(0, (2, length - 1))])
    assert layout.far == [(length - 1, length - 1)]
    assert len(routes(layout, length - 1)) == 2  # the near reader keeps its wire: a lane, then it


def test_lanes_stay_within_their_budget() -> None:
    length = 3000
    values = [*chain(length), *(DrawnValue(cell, (cell + 390,)) for cell in range(0, 2600))]
    layout = layout_graph(length, values)
    assert sum(map(len, layout.rows)) <= length + 4 * length + 2000
    assert len(layout.far) == 2600


def test_an_input_is_placed_just_above_its_first_reader() -> None:
    values = [*chain(5), DrawnValue(5, (3, 4))]
    assert ranks_of(layout_graph(6, values))[5] == 0
    assert ranks_of(layout_graph(6, values, floating=[5]))[5] == 2


def test_sweeps_untangle_branches() -> None:
    branches = [DrawnValue(source, (9 - source,)) for source in range(5)]
    tangled = [DrawnValue(10, (0, 1, 2, 3, 4)), *branches]
    layout = layout_graph(11, tangled)
    assert crossings_of(layout) == 0
    assert len(layout.rows) == 3


def test_sweeps_remove_most_crossings(monkeypatch: pytest.MonkeyPatch) -> None:
    random_ = random.Random(3)  # noqa: S311  # reproducible, not secret
    upper, lower = list(range(40)), list(range(40, 80))
    random_.shuffle(upper)
    random_.shuffle(lower)
    # A ladder: each upper cell reads into two neighbours, and an order without crossings exists.
    values = [DrawnValue(cell, tuple(lower[at : at + 2])) for at, cell in enumerate(upper)]
    swept = crossings_of(layout_graph(80, values))
    monkeypatch.setattr("pluginkit.view.graph_layout._SWEEPS", 0)
    assert swept < crossings_of(layout_graph(80, values)) / 2


def test_a_graph_without_cells_has_no_rows() -> None:
    assert layout_graph(0, []) == Layout([], [], [])
