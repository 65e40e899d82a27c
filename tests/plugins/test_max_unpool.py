import numpy as np
import pytest

from pluginkit import float32, int64
from pluginkit.contract import calls
from pluginkit.errors import PluginkitError
from pluginkit.plugins.max_unpool import MaxUnpool, launches
from pluginkit.testing import run_kernels
from tests.plugins.compilation import architectures, assert_kernels_compile, specialisations_of

HALVES = {"kernel_shape": (2, 2), "strides": (2, 2)}


def on_machine(x, indices, **attributes):
    run = run_kernels(MaxUnpool(**attributes), [x, indices])
    assert not run.findings
    return run.outputs[0]


@pytest.mark.parametrize("width", [5, 6, 8])
@pytest.mark.parametrize("anywhere", [False, True])
def test_elements_are_where_their_indices_say(width, anywhere):
    rng = np.random.default_rng(width)
    x = rng.normal(size=(2, 3, 4, width)).astype(np.float32)
    order = np.arange(2 * 3 * 8 * 2 * width).reshape(2, 3, 8, 2 * width)
    indices = order[:, :, ::2, 1::2].copy()
    if anywhere:
        indices = rng.permutation(order.ravel())[: x.size].reshape(x.shape)
    expected = np.zeros(order.shape, np.float32)
    expected.reshape(-1)[indices] = x
    np.testing.assert_array_equal(on_machine(x, indices, **HALVES), expected)
    larger = on_machine(x, indices, **HALVES, output_sizes=(9, 2 * width + 3))
    np.testing.assert_array_equal(larger[:, :, :8, : 2 * width], expected)
    assert np.count_nonzero(larger) == x.size


BANDS = {
    "halves": ((1, 2, 3, 5), HALVES),
    "overlapping": (
        (2, 1, 4, 5),
        {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    ),
    "far apart": ((1, 3, 4, 3), {"kernel_shape": (2, 2), "strides": (3, 3)}),
    "long windows": ((1, 2, 9), {"kernel_shape": (5,), "strides": (2,), "pads": (1, 3)}),
    "volumes": ((1, 2, 4, 2, 3), {"kernel_shape": (2, 2, 2), "strides": (2, 2, 2)}),
}


@pytest.mark.parametrize("anywhere", [False, True])
@pytest.mark.parametrize("largest", [2**16, 128, 1], ids=["planes", "bands", "whole"])
@pytest.mark.parametrize("case", BANDS)
def test_elements_may_belong_outside_of_their_bands(case, largest, anywhere, monkeypatch):
    """Bands are planes, or parts of one; there are none where a row of windows is too large."""
    monkeypatch.setattr(launches, "_FEW", 1)
    monkeypatch.setattr(launches, "_BLOCKS", 2)
    monkeypatch.setattr(launches, "_BAND", 64)
    monkeypatch.setattr(launches, "_LARGEST", largest)
    shape, attributes = BANDS[case]
    plugin = MaxUnpool(**attributes)
    sizes = launches.unpooled(plugin, shape[2:])
    rng = np.random.default_rng(3)
    x = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    order = np.arange(shape[0] * shape[1] * np.prod(sizes))
    indices = rng.permutation(order)[: x.size] if anywhere else order[: x.size]
    indices = indices.reshape(shape)
    expected = np.zeros((*shape[:2], *sizes), np.float32)
    expected.reshape(-1)[indices] = x
    np.testing.assert_array_equal(on_machine(x, indices, **attributes), expected)


def test_windows_in_the_padding_alone_lose_nothing():
    attributes = {"kernel_shape": (2,), "strides": (2,), "pads": (2, 0)}
    x, indices = np.float32([[[1, 2, 3]]]), np.array([[[3, 1, 2]]])
    np.testing.assert_array_equal(on_machine(x, indices, **attributes), [[[0, 2, 3, 1]]])


def test_an_index_out_of_range_is_left_out_and_refused_by_the_reference():
    x, indices = np.float32([[[1, 2]]]), np.array([[[-1, 3]]])
    attributes = {"kernel_shape": (2,), "strides": (2,)}
    np.testing.assert_array_equal(on_machine(x, indices, **attributes), [[[0, 0, 0, 2]]])
    with pytest.raises(PluginkitError, match="I is -1 to 3; expected 0 to 3"):
        calls.run_reference(MaxUnpool(**attributes), [x, indices])


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"kernel_shape": (2,)}, "kernel_shape has 1 numbers; expected 2"),
        ({**HALVES, "output_sizes": (7, 9)}, "axis 2 of .* becomes 8; expected 1 to 7"),
        ({**HALVES, "pads": (4, 0, 4, 0)}, "becomes 0; expected 1"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(attributes, message):
    plugin = MaxUnpool(**attributes)
    described = calls.describe_inputs(plugin, [(1, 1, 4, 4)] * 2, [float32, int64])
    with pytest.raises(PluginkitError, match=message):
        calls.check(plugin, described)


@architectures
def test_every_kernel_compiles(arch):
    assert_kernels_compile(specialisations_of([MaxUnpool(**HALVES)]), arch)
