import numpy as np
import pytest

from pluginkit import float16, float32
from pluginkit.checking.kernel_run import run_kernels
from pluginkit.contract import calls
from pluginkit.errors import PluginkitError
from pluginkit.plugins.selective_scan import SelectiveScan, launches
from tests.plugins.compilation import (
    QUICK,
    assert_all_compile,
    assert_few_compile,
    every_architecture,
    specialisations_of,
)


def both(*arrays, tolerance=5e-5, **attributes):
    """Return the outputs of the reference, which those of the kernel must equal."""
    names = [port.name for port in SelectiveScan.spec.inputs]
    given = {name: x for name, x in zip(names, arrays, strict=True) if x is not None}
    run = run_kernels(SelectiveScan(**attributes), list(arrays))
    assert not run.findings
    plugin = SelectiveScan(**attributes).with_inputs(*given)
    expected = calls.run_reference(plugin, list(given.values()))
    for got, wanted in zip(run.outputs, expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=tolerance)
    return expected


def drawn(*shape, low=-1.0, high=1.0, seed=0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def one_channel(u, delta, a=0.0, b=1.0, c=1.0, **attributes):
    """Scan with one state of one channel, in which B and C are constant."""
    u, delta = (np.asarray(each, np.float32).reshape(1, 1, -1) for each in (u, delta))
    matrix = np.ones((1, u.shape[2], 1, 1), np.float32)
    decay = np.full((1, 1), a, np.float32)
    given = [u, delta, decay, b * matrix, c * matrix, None, None, None, None]
    y, state = both(*(np.float32(x) if x is not None else None for x in given), **attributes)
    return y.ravel().tolist(), state.item()


def test_without_decay_it_is_a_cumulative_sum():
    assert one_channel([1, 2, 3], [1, 1, 1]) == ([1, 3, 6], 6)
    assert one_channel([1, 2, 3], [1, 0, 2], c=2.0) == ([2, 2, 14], 7)


def test_the_state_decays_with_the_step():
    half = -np.log(2)
    y, state = one_channel([1, 0, 0], [1, 1, 2], a=half)
    np.testing.assert_allclose([*y, state], [1, 0.5, 0.125, 0.125], rtol=1e-6)


def test_the_softplus_of_a_large_step_is_the_step():
    y, _ = one_channel([1, 1], [30, -200], delta_softplus=True)
    np.testing.assert_allclose(y, [30, 30], rtol=1e-6)


def inputs_of(channels=4, heads=4, groups=1, states=5, length=23, columns=None, items=1):
    return [
        drawn(items, channels, length),
        drawn(items, heads, length, low=0.01),
        -drawn(heads, states if columns is None else columns, low=0.1),
        drawn(items, length, groups, states, seed=1),
        drawn(items, length, groups, states, seed=2),
        drawn(heads),
        drawn(items, channels, length, seed=3),
        drawn(heads, low=-2, high=0),
        drawn(items, channels, states, seed=4),
    ]


def test_two_halves_with_the_state_between_are_the_whole():
    whole = inputs_of(length=32)
    y, last = both(*whole, delta_softplus=True)
    timed, rows = {0, 1, 6}, {3, 4}
    cut = [
        [
            x[..., part] if at in timed else x[:, part] if at in rows else x
            for at, x in enumerate(whole)
        ]
        for part in (slice(0, 20), slice(20, 32))
    ]
    cut = [[np.ascontiguousarray(x) for x in each] for each in cut]
    before, state = both(*cut[0], delta_softplus=True)
    cut[1][8] = state
    after, end = both(*cut[1], delta_softplus=True)
    np.testing.assert_allclose(np.concatenate([before, after], axis=2), y, atol=1e-5)
    np.testing.assert_allclose(end, last, atol=1e-5)


def test_heads_and_groups_are_the_same_as_repeated_inputs():
    few = inputs_of(channels=6, heads=3, groups=2, columns=1)
    many = list(few)
    for at in (1, 2, 5, 7):
        axis = 1 if at == 1 else 0
        many[at] = np.repeat(few[at], 2, axis=axis)
    many[2] = np.repeat(many[2], 5, axis=1)
    for at in (3, 4):
        many[at] = np.repeat(few[at], 3, axis=2)
    for one, other in zip(
        both(*few, delta_softplus=True), both(*many, delta_softplus=True), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("length", [3, 20])
@pytest.mark.parametrize(("groups", "states"), [(16, 1), (8, 2), (4, 4), (2, 8), (1, 16), (2, 16)])
def test_groups_whose_rows_lanes_hold_whole_or_in_part(groups, states, length):
    arrays = inputs_of(channels=16, heads=16, groups=groups, states=states, length=length)
    _, last = both(*arrays, delta_softplus=True)
    assert last.shape == (1, 16, states)


@pytest.mark.parametrize("length", [5, 65, 300])
@pytest.mark.parametrize("busy", [8, 1056], ids=["many channels", "few"])
@pytest.mark.parametrize(
    ("states", "columns", "groups"),
    [(1, None, 1), (3, 1, 3), (4, None, 1), (16, None, 1), (20, 1, 3), (64, None, 1)],
)
def test_lanes_that_take_time_compute_the_same(length, busy, states, columns, groups, monkeypatch):
    monkeypatch.setattr(launches, "_BUSY_WARPS", busy)
    sizes = {"channels": 3, "heads": 3, "groups": groups, "states": states, "columns": columns}
    arrays = inputs_of(**sizes, length=length, items=2)
    y, _ = both(*arrays, delta_softplus=True)
    assert y.shape == (2, 3, length)


@pytest.mark.parametrize("length", [7, 12])
@pytest.mark.parametrize(("states", "columns"), [(1, None), (3, 1), (4, None)])
def test_a_thread_walks_through_a_short_time(length, states, columns, monkeypatch):
    for name in ("_CHANNELS_EACH", "_FEWER_EACH"):
        monkeypatch.setattr(launches, name, 0)
    y, _ = both(*inputs_of(states=states, columns=columns, length=length), delta_softplus=True)
    assert y.shape[2] == length


@pytest.mark.parametrize(
    ("channels", "length", "dtype", "walks"),
    [
        (320 * 12, 12, float32, True),
        (320 * 12 - 1, 12, float32, False),
        (320 * 13, 13, float32, False),
        (512 * 13, 13, float32, True),
        (320 * 24, 24, float16, True),
        (320 * 25, 25, float16, False),
    ],
)
def test_a_thread_walks_where_channels_are_many_for_each_step(channels, length, dtype, walks):
    plugin = SelectiveScan().with_inputs("u", "delta", "A", "B", "C")
    time, matrix = (1, channels, length), (1, length, 1, 4)
    dtypes = [dtype, dtype, float32, dtype, dtype]
    inputs = calls.describe_inputs(plugin, [time, time, (channels, 4), matrix, matrix], dtypes)
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert (launch.kernel is SelectiveScan.step_kernel) == walks


def test_an_infinite_weight_of_a_state_makes_an_infinite_output():
    arrays = inputs_of(states=16, length=40)
    arrays[8] = None
    arrays[4][0, [0, 20], 0, 3] = np.inf
    y, _ = both(*arrays, delta_softplus=True)
    assert np.isinf(y[0, :, [0, 20]]).all()


@pytest.mark.parametrize("length", [64, 97])
@pytest.mark.parametrize(("states", "columns"), [(5, None), (5, 1), (40, None)])
def test_warps_that_share_time_compute_the_same(length, states, columns, monkeypatch):
    """As for long texts of few channels."""
    monkeypatch.setattr(launches, "_LONG", 64)
    monkeypatch.setattr(launches, "_FEW_CHANNELS", 0)
    monkeypatch.setattr(launches, "_FEWEST_STEPS", 4)
    sizes = {"channels": 3, "heads": 3, "states": states, "columns": columns}
    arrays = inputs_of(**sizes, length=length, items=2)
    assert launches._parts(1, length) >= 16
    both(*arrays, delta_softplus=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {1: (1, 3, 23)},
        {2: (4, 6)},
        {3: (1, 23, 1, 6)},
        {3: (1, 23, 3, 5), 4: (1, 23, 3, 5)},
        {2: (4, 200), 3: (1, 23, 1, 200), 4: (1, 23, 1, 200)},
        {6: (1, 4, 22)},
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(wrong):
    shapes = [wrong.get(at, x.shape) for at, x in enumerate(inputs_of())]
    if 2 in wrong and 3 in wrong:
        shapes[8] = (1, 4, 200)
    described = calls.describe_inputs(SelectiveScan(), shapes, [float32] * 9)
    with pytest.raises(PluginkitError, match=r"PK124|shapes"):
        calls.check(SelectiveScan(), described)


def test_some_of_each_kernel_compile():
    assert_few_compile(specialisations_of([SelectiveScan()]), QUICK)


@every_architecture
def test_every_kernel_compiles(arch):
    assert_all_compile(specialisations_of([SelectiveScan()]), arch)
