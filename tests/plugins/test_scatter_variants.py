"""ScatterElements chooses the right kernels; they all compile and address the right memory."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from pluginkit import Launch, Workspace, float16, float32, int8, int32, int64
from pluginkit.checking.kernel_run import run_kernels
from pluginkit.contract import calls
from pluginkit.errors import InputError
from pluginkit.kernels.compile import compile_launches
from pluginkit.plugins.scatter_elements import ScatterElements, slabs
from pluginkit.plugins.scatter_elements.launches import ScatterElementsCall
from pluginkit.plugins.scatter_elements.merged_dims import merged_dims
from pluginkit.plugins.scatter_elements.scatter_problem import SHARED_BYTES, problem_of
from pluginkit.plugins.scatter_elements.variants import choose
from tests.plugins.compilation import (
    QUICK,
    assert_all_compile,
    assert_few_compile,
    every_architecture,
    function_of,
    share_of,
    specialisations_of,
)

REDUCTIONS = ("none", "add", "mul", "min", "max")


def described(plugin, data, updates, dtype=float32, index_type=int64):
    inputs = calls.describe_inputs(plugin, [data, updates, updates], [dtype, index_type, dtype])
    calls.check(plugin, inputs)
    return inputs, calls.describe_outputs(plugin, inputs)


def chosen(data, updates, axis=0, dtype=float32, index_type=int64, **attributes):
    plugin = ScatterElements(axis=axis, **attributes)
    inputs, _ = described(plugin, data, updates, dtype, index_type)
    return choose(problem_of(plugin, *inputs))


@pytest.mark.parametrize(
    ("variant", "data", "updates", "axis"),
    [
        ("rows", (1_000_000, 64), (4_000_000, 64), 0),
        ("tile", (4096, 4096), (4096, 1024), 1),
        ("column", (32, 128, 1024), (32, 128, 1024), 1),
        ("tile", (8, 512), (8, 512), 1),
        ("tile", (5,), (3,), 0),
        ("tile", (7, 5, 1), (7, 3, 1), 1),
        ("tile", (200, 512), (200, 50_000), 1),
        ("elements", (100, 512), (100, 50_000), 1),  # too few tiles for so many updates
        ("elements", (7, 5), (6, 5), 1),  # updates smaller than data off the axis
        ("elements", (100_000,), (100_000,), 0),  # no shared memory holds the axis
        ("elements", (1000, 3), (90_000, 3), 0),  # rows of 12 bytes
        ("rows", (2_000_000, 5), (4_000_000, 5), 0),  # of 20 bytes
        ("elements", (3000, 5), (90_000, 5), 0),
        ("elements", (100, 64), (500, 64), 0),  # too few updates for three launches
        ("elements", (100, 64), (5000, 64), 0),  # the cache holds data
        ("elements", (1_000_000, 64), (17_000_000, 64), 0),  # too many updates of a row for lists
        ("elements", (1_000_000, 64), (250_000, 64), 0),  # few rows get updates
        ("elements", (16, 65), (50_000, 65), 0),  # a block has cells for all data
        ("rows", (600, 2**23), (250, 2**23), 0),
        ("elements", (600, 2**23 + 4), (250, 2**23 + 4), 0),  # a grid cannot count a row's pieces
        ("slab", (64, 52, 16), (1023, 52, 16), 0),
        ("last", (64, 52, 16), (1024, 52, 16), 0),
        ("slab", (2000, 20, 9), (2000, 10, 9), 1),
        ("elements", (2000, 20, 9), (2000, 9, 9), 1),  # few updates of an element
        ("elements", (64, 183), (2785, 183), 0),  # too few columns
        ("slab", (64, 185), (1000, 185), 0),
        ("elements", (64, 760), (1000, 760), 0),  # vectors need no more atomics
        ("slab", (64, 764), (1000, 764), 0),
        ("last", (64, 185), (2785, 185), 0),
        ("last", (8, 208), (4035, 208), 0),
        ("elements", (8, 183), (4035, 183), 0),
        ("column", (2, 2**20), (1, 2**20), 0),
        ("elements", (1, 2**20), (1, 2**20), 0),  # vectors of updates
        ("column", (1, 2**20 + 1), (1, 2**20 + 1), 0),
        ("tile", (4096,), (512,), 0),
        ("elements", (100,), (513,), 0),  # atomics are faster than one block
        ("elements", (4097,), (100,), 0),  # more than one block should copy
        ("elements", (4, 6), (0, 6), 0),
        ("elements", (0, 6), (0, 4), 1),
    ],
)
def test_the_variant_follows_from_the_shape(variant, data, updates, axis):
    assert chosen(data, updates, axis) == variant


@pytest.mark.parametrize(
    ("rows", "cells", "blocks"),
    [(2**20, 3, 3085), (2**18, 64, 2**14), (2**12, 4096, 2**12), (100, 3, 100)],
)
@pytest.mark.parametrize("deterministic", [False, True])
def test_a_tile_has_several_short_rows_where_there_are_many(rows, cells, blocks, deterministic):
    plugin = ScatterElements(axis=1, deterministic=deterministic)
    (tile,) = calls.steps(plugin, *described(plugin, (rows, cells), (rows, cells)))
    assert tile.grid == blocks


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 2**16), st.integers(1, 20_000), st.integers(1, 20_000), st.booleans())
def test_tiles_of_several_rows_fit_into_shared_memory(rows, cells, count, deterministic):
    plugin = ScatterElements(axis=1, deterministic=deterministic)
    described_as = described(plugin, (rows, cells), (rows, count), int8, int32)
    if choose(problem_of(plugin, *described_as[0])) not in ("tile", "ordered_tile"):
        return
    (tile,) = calls.steps(plugin, *described_as)
    assert tile.shared_bytes <= SHARED_BYTES
    taken = tile.args[-2].values[0]
    assert tile.grid == -(-rows // taken)
    if tile.constants["CELL_VECTORS"]:
        assert taken * cells % 16 == 0
    if tile.constants["UPDATE_VECTORS"]:
        assert taken * count * 4 % 16 == 0


def test_the_variant_follows_from_the_types():
    assert chosen((5000, 128), (2000, 128), dtype=int8, reduction="add") == "rows"
    assert chosen((5000, 64), (2400, 64), dtype=float16, reduction="max") == "rows"
    assert chosen((500, 64), (5000, 64), dtype=float16, reduction="add") == "elements"
    assert chosen((500, 24), (20_000, 24), dtype=float16, reduction="max") == "elements"
    assert chosen((500, 63), (5000, 63), dtype=float16, reduction="max") == "elements"
    assert chosen((50, 640), (2000, 640), dtype=float16, reduction="max") == "slab"
    assert chosen((64, 760), (2785, 760), reduction="max") == "slab"  # of no vectors
    assert chosen((8, 208), (4035, 208), reduction="min") == "slab"
    assert chosen((1, 2**20), (1, 2**20), reduction="max") == "elements"
    assert chosen((500, 8), (50_000, 8), dtype=int8) == "elements"  # rows of 8 bytes
    assert chosen((8, 500, 1024), (8, 9, 1024), 1, dtype=float16) == "column"
    assert chosen((8, 500, 1024), (8, 9, 1024), 1, dtype=int64) == "elements"


@pytest.mark.parametrize(
    ("data", "updates", "axis"),
    [
        ((9, 30), (40, 30), 0),
        ((2, 9, 21), (2, 40, 21), 1),
        ((3000, 3, 2), (3000, 4, 2), 1),
        ((130, 7, 9), (130, 12, 9), 1),
    ],
)
@pytest.mark.parametrize("reduction", ["none", "add", "max"])
def test_blocks_take_slabs(data, updates, axis, reduction, monkeypatch):
    monkeypatch.setattr(slabs, "MANY_UPDATES", 1)
    monkeypatch.setattr(slabs, "LEAST_SLABS", 1)
    monkeypatch.setattr(slabs, "LEAST_SLABS_OF_VECTORS", 1)
    assert chosen(data, updates, axis, reduction=reduction) == "slab"
    rng = np.random.default_rng(4)
    indices = rng.integers(-data[axis], data[axis], updates)
    given = rng.integers(-8, 9, data).astype(np.float32)
    values = rng.integers(-8, 9, updates).astype(np.float32)
    if reduction == "none":  # the same for the same element
        values = np.take_along_axis(given, indices, axis) + 1
    plugin = ScatterElements(axis=axis, reduction=reduction)
    run = run_kernels(plugin, [given, indices, values])
    assert not run.findings
    expected = calls.run_reference(plugin, [given, indices, values])[0]
    np.testing.assert_array_equal(run.outputs[0], expected)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("unused", [0, 1])
@pytest.mark.parametrize("dtype", [float32, int8], ids=repr)
@pytest.mark.parametrize(
    ("data", "updates", "axis"),
    [
        ((2, 30), (600, 30), 0),
        ((2, 3, 21), (2, 50, 21), 1),
        ((25, 1, 3), (25, 16, 3), 1),
    ],
)
def test_blocks_find_the_last_updates(
    data, updates, axis, dtype, unused, deterministic, monkeypatch
):
    monkeypatch.setattr(slabs, "MANY_UPDATES", 1)
    monkeypatch.setattr(slabs, "LEAST_SLABS", 1)
    rng = np.random.default_rng(6)
    size = data[axis]
    indices = rng.integers(-size, size - unused, updates)
    indices = np.where(indices == -unused, -size - 1, indices) if unused else indices
    given, values = (rng.integers(-99, 99, shape).astype(dtype.numpy) for shape in (data, updates))
    plugin = ScatterElements(axis=axis, deterministic=deterministic)
    assert chosen(data, updates, axis, dtype, deterministic=deterministic) == "last"
    run = run_kernels(plugin, [given, indices, values])
    assert not run.findings
    is_outside = indices < -size
    expected = given.copy()
    for place in np.ndindex(updates):
        target = list(place)
        target[axis] = indices[place]
        if not is_outside[place]:
            expected[tuple(target)] = values[place]
    np.testing.assert_array_equal(run.outputs[0], expected)


@pytest.mark.parametrize("size", [40, 5000])
@pytest.mark.parametrize("reduction", ["min", "max"])
def test_extremes_of_either_sign_and_nan(reduction, size):
    rng = np.random.default_rng(5)
    kinds = np.array([-np.inf, -2, -1, 1, 2, np.inf, np.nan, np.nan], np.float32)
    kinds[-1:].view(np.uint32)[0] ^= 1 << 31  # NaN of the other sign
    data, updates = kinds[rng.integers(0, 8, size)], kinds[rng.integers(0, 8, 300)]
    arrays = [data, rng.integers(0, min(size, 90), 300), updates]
    plugin = ScatterElements(reduction=reduction)
    run = run_kernels(plugin, arrays)
    assert not run.findings
    np.testing.assert_array_equal(run.outputs[0], calls.run_reference(plugin, arrays)[0])


def test_one_block_combines_more_where_atomics_swap():
    assert chosen((100,), (2**14,), reduction="mul") == "tile"
    assert chosen((100,), (2**14,), dtype=int32, reduction="max") == "elements"
    assert chosen((100,), (2**14,), dtype=int8, reduction="add") == "tile"
    assert chosen((1000,), (2**12,), reduction="mul") == "tile"
    assert chosen((1000,), (2**12 + 1,), reduction="mul") == "elements"
    assert chosen((64, 22), (1024, 22), reduction="mul") == "slab"
    assert chosen((64, 22), (1024, 22), reduction="add") == "elements"


def test_shared_memory_is_bounded():
    shapes = lambda n: ((128, n), (128, 64), 1)  # noqa: E731
    largest = next(n for n in range(20_000, 0, -1) if chosen(*shapes(n)) == "tile")
    plugin = ScatterElements(axis=1)
    inputs, _ = described(plugin, *shapes(largest)[:2])
    assert SHARED_BYTES - 16 < problem_of(plugin, *inputs).tile_bytes() <= SHARED_BYTES
    assert chosen((8, 512, 1024), (8, 9, 1024), 1) == "column"
    assert chosen((8, 513, 1024), (8, 9, 1024), 1) == "elements"


@pytest.mark.parametrize(
    ("dtype", "reduction", "variant"),
    [
        (float32, "add", "ordered_rows"),
        (float32, "mul", "ordered_rows"),
        (float32, "none", "ordered_rows"),
        (float32, "max", "elements"),
        (int32, "add", "elements"),
    ],
)
def test_deterministic_orders_rows_only_where_order_matters(dtype, reduction, variant):
    attributes = {"reduction": reduction, "deterministic": True}
    assert chosen((1000, 64), (4000, 64), dtype=dtype, **attributes) == variant
    is_ordered = variant == "ordered_rows"
    narrow = "ordered_elements" if is_ordered else "elements"
    assert chosen((1000, 3), (90_000, 3), dtype=dtype, **attributes) == narrow
    tile = "ordered_tile" if is_ordered else "tile"
    assert chosen((200, 512), (200, 512), 1, dtype=dtype, **attributes) == tile
    few, part = ("ordered_rows", "lists") if is_ordered else ("elements", "elements")
    assert chosen((1000, 64), (9, 64), dtype=dtype, **attributes) == few
    assert chosen((1000, 64), (9000, 60), dtype=dtype, **attributes) == part


def test_deterministic_on_too_many_updates_is_refused():
    plugin = ScatterElements(reduction="add", deterministic=True)
    said = "^ScatterElements/deterministic: deterministic=True on 4294967296 updates"
    with pytest.raises(InputError, match=said):
        calls.steps(plugin, *described(plugin, (1000, 64), (2**26, 64)))


@pytest.fixture(scope="module")
def every():
    assert len(ScatterElements.spec.kernels) == 24
    every = specialisations_of(ScatterElements(reduction=each) for each in REDUCTIONS)
    types = 6 * 2 * 5  # T, Tind, reduction
    by_rows = 6 * 5 * 4 * 2  # T, reduction, LANES, VECTOR
    rows = 2 * 2 * 2 + 2 * by_rows + types * 4 * 2
    ordered = 2 * by_rows * 5 // 4 + 5 + 2 * 2
    assert (
        len(every)
        == types * (8 + 8 + 4 + 4 + 3 + 1) + rows + ordered + 2 * 4 + 6 * 5 + 6 * 3 + 6 * 2 + 1
    )
    return every


@pytest.mark.slow
def test_each_kernel_compiles(every):
    assert len({function_of(each) for each in every}) == 24
    assert_few_compile(every, QUICK)


@every_architecture
def test_every_specialisation_compiles(every, arch):
    share = share_of(every, arch)
    assert len({function_of(each) for each in share}) >= 6
    assert_all_compile(share, arch)


@pytest.mark.parametrize(
    ("data", "updates", "axis", "attributes"),
    [
        ((3, 4), (2, 3), 1, {}),
        ((2**16, 2**15), (2, 3), 1, {}),
        ((64, 128), (64, 32), 1, {}),
        ((64, 127), (64, 31), 1, {"deterministic": True, "reduction": "add"}),
        ((8, 128, 1024), (8, 100, 1024), 1, {"reduction": "mul"}),
        ((1000, 64), (4000, 64), 0, {"reduction": "add"}),
        ((1000, 64), (4000, 64), 0, {"reduction": "none"}),
        pytest.param(  # which test_each_kernel_compiles compiles for another architecture
            *((1000, 64), (4000, 64), 0, {"reduction": "add", "deterministic": True}),
            marks=[pytest.mark.slow, pytest.mark.exhaustive],
        ),
        ((2, 3, 4, 5, 6), (2, 2, 4, 5, 5), 2, {"reduction": "add", "deterministic": True}),
    ],
)
def test_arguments_fit_the_kernels(data, updates, axis, attributes):
    plugin = ScatterElements(axis=axis, **attributes)
    compiled = compile_launches(plugin, *described(plugin, data, updates), "80")
    assert compiled
    assert all(each.cubin.startswith(b"\x7fELF") for each in compiled)


@pytest.mark.parametrize("reduction", ["none", "add"])
@pytest.mark.parametrize("deterministic", [False, True])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_the_workspace_of_the_largest_shape_serves_every_smaller_one(
    reduction, deterministic, draws
):
    plugin = ScatterElements(reduction=reduction, deterministic=deterministic)
    columns = draws.draw(st.sampled_from([1, 3, 4, 16, 64, 1024]))
    largest = (
        (draws.draw(st.integers(1, 3000)), columns),
        (draws.draw(st.integers(1, 9000)), columns),
    )
    smaller = [(draws.draw(st.integers(1, rows)), columns) for rows, _ in largest]
    provided = calls.workspace_bytes(plugin, described(plugin, *largest)[0])
    inputs, outputs = described(plugin, *smaller)
    assert calls.workspace_bytes(plugin, inputs) <= provided
    calls.steps(plugin, inputs, outputs)  # raises when a step reaches past the workspace


def elements_launch(plugin, data, updates, dtype=float32) -> Launch:
    """Return the launch of the elements variant, whichever one suits the shape."""
    inputs, (output,) = described(plugin, data, updates, dtype)
    return ScatterElementsCall(plugin, *inputs, output, Workspace(64)).steps("elements")[1]


@pytest.mark.parametrize(
    ("dtype", "reduction", "data", "updates", "is_wide"),
    [
        (float16, "add", 2**20, 2**22, True),
        (float16, "max", 2**20, 2**22, True),
        (float16, "add", 2**20 + 1, 2**22, False),  # too few updates of an element
        (float16, "add", 2**23, 2**25, True),
        (float16, "add", 2**23 + 1, 2**25 + 4, False),  # no cache holds the sums
        (float32, "add", 2**20, 2**22, False),
        (int8, "add", 2**20, 2**22, False),
    ],
)
def test_sums_of_many_16_bit_elements_are_wide(dtype, reduction, data, updates, is_wide):
    plugin = ScatterElements(reduction=reduction)
    steps = calls.steps(plugin, *described(plugin, (data,), (updates,), dtype))
    kernels = [plugin.begin_sums, plugin.combined_elements, plugin.round_sums][: 2 + is_wide]
    assert [step.kernel for step in steps] == kernels
    assert steps[0].constants == {"WIDE": is_wide}


def test_cells_of_the_widest_types_fit_into_shared_memory():
    plugin = ScatterElements(reduction="add")
    _, scatter = calls.steps(plugin, *described(plugin, (2**31,), (2**21,), int64))
    assert SHARED_BYTES - 32 < scatter.shared_bytes <= SHARED_BYTES


def addressed(data, updates, axis):
    """Return the output element of every update when all indices are 0, as the kernel does."""
    launch = elements_launch(ScatterElements(axis=axis), data, updates)
    rank = launch.constants["RANK"]
    geometry = launch.args[7].values
    sizes, strides = geometry[:rank], geometry[rank:]
    targets = []
    for element in range(launch.args[3].values[0]):
        target, rest = 0, element
        for dim in reversed(range(rank)):
            outer = rest // sizes[dim] if dim else 0
            target += (rest - outer * sizes[dim]) * strides[dim]
            rest = outer
        targets.append(target)
    return targets


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_geometry_addresses_every_update(draws):
    rank = draws.draw(st.integers(1, 8))
    data = tuple(draws.draw(st.integers(1, 3)) for _ in range(rank))
    axis = draws.draw(st.integers(-rank, rank - 1))
    updates = [draws.draw(st.integers(1, size)) for size in data]
    updates[axis] = draws.draw(st.integers(1, 4))
    expected = []
    for place in itertools.product(*map(range, updates)):
        target = list(place)
        target[axis] = 0
        expected.append(int(np.ravel_multi_index(target, data)))
    assert addressed(data, tuple(updates), axis) == expected


@pytest.mark.parametrize(
    ("data", "updates", "axis", "rank"),
    [
        ((8, 9, 10), (8, 9, 10), 1, 3),
        ((2, 3, 4, 5, 6), (2, 3, 7, 5, 6), 2, 3),
        ((2, 3, 4, 5, 6), (2, 3, 4, 4, 6), 2, 3),
        ((2, 3, 4, 5, 6), (2, 2, 4, 5, 5), 2, 8),
        ((1000, 64), (4000, 64), 0, 3),
    ],
)
def test_matching_dimensions_are_merged(data, updates, axis, rank):
    launch = elements_launch(ScatterElements(axis=axis), data, updates)
    assert launch.constants["RANK"] == rank


@pytest.mark.parametrize(
    ("data", "updates", "offset"),
    [
        ((2**31 - 1,), (5,), "unsigned int"),
        ((2**31,), (5,), "unsigned long long"),
        ((5,), (2**31,), "unsigned long long"),
        ((0, 2**31), (0, 1), "unsigned long long"),
    ],
)
def test_offsets_are_as_wide_as_needed(data, updates, offset):
    launch = elements_launch(ScatterElements(), data, updates, int8)
    assert launch.constants["OFFSET"] == offset


def listed_dims(data: list[int], updates: list[int], axis: int) -> list[tuple[int, int]]:
    """The merged dimensions, in a list that grows, outermost first."""
    dims: list[tuple[int, int]] = []
    step = 1
    for dim in reversed(range(len(data))):
        size, stride = updates[dim], 0 if dim == axis else step
        step *= data[dim]
        if size == 1:
            continue
        if dims and stride == dims[-1][0] * dims[-1][1]:
            dims[-1] = size * dims[-1][0], dims[-1][1]
        else:
            dims.append((size, stride))
    return dims[::-1]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8), st.data())
def test_dimensions_are_merged_as_in_a_list(sizes: list[tuple[int, int]], data: st.DataObject):
    axis = data.draw(st.integers(0, len(sizes) - 1))
    whole, updates = map(list, zip(*sizes, strict=True))
    expected, merged = listed_dims(whole, updates, axis), merged_dims(whole, updates, axis)
    rank = 3 if len(expected) <= 3 else 8
    filled = [(1, 0)] * (rank - len(expected)) + expected
    assert (merged.count, merged.rank) == (len(expected), rank)
    assert merged.geometry(rank) == [size for size, _ in filled] + [step for _, step in filled]
