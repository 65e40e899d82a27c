import numpy as np
import pytest

from pluginkit import float32, offset_type
from pluginkit.contract import calls
from pluginkit.errors import TensorError
from pluginkit.plugins import swi_glu
from pluginkit.plugins.swi_glu import SwiGLU
from pluginkit.testing import run_kernels
from tests.plugins.compilation import architectures, assert_kernels_compile, specialisations_of


def on_machine(gate, up=None):
    run = run_kernels(SwiGLU(), [gate, up])
    assert not run.findings
    return run.outputs[0]


def test_values_by_hand():
    gate, up = np.float32([0, np.log(3), -np.log(3)]), np.float32([5, 4, 4])
    expected = [0, 3 * np.log(3), -np.log(3)]  # sigmoid(log 3) is 3/4
    np.testing.assert_allclose(on_machine(gate, up), expected, rtol=1e-6)
    np.testing.assert_allclose(on_machine(np.concatenate([gate, up])), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_large_gates_give_no_nan(dtype):
    gate = np.array([-60000, -200, -88.5, -17, 17, 88.5, 200, 60000], dtype)
    y = on_machine(gate, np.ones(8, dtype))
    np.testing.assert_allclose(y[4:], gate[4:], rtol=1e-3)
    np.testing.assert_allclose(y[:4], 0, atol=1e-6)


@pytest.mark.parametrize("size", [8, 10, 514, 4098])
def test_halves_are_the_pair(size):
    x = np.random.default_rng(1).normal(size=(3, size)).astype(np.float16)
    gate, up = (np.ascontiguousarray(each) for each in np.split(x, 2, axis=1))
    np.testing.assert_array_equal(on_machine(x), on_machine(gate, up))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("size", [1, 7, 33, 131])
def test_vectors_of_rows_that_are_not_aligned(monkeypatch, size, dtype):
    """Across the ends of rows, and up to the last element of x."""
    monkeypatch.setattr(swi_glu, "_FEW", 0)
    rows = 300 if size == 1 else 9
    x = np.random.default_rng(1).normal(size=(rows, 2 * size)).astype(dtype)
    gate, up = np.split(x.astype(np.float64), 2, axis=1)
    np.testing.assert_allclose(on_machine(x), gate / (1 + np.exp(-gate)) * up, atol=2e-3)


@pytest.mark.parametrize("size", [8, 6])
def test_places_that_need_64_bits_are_the_same(monkeypatch, size):
    monkeypatch.setattr(swi_glu, "offset_type", lambda *_: offset_type(2**31))
    x = np.random.default_rng(1).normal(size=(7, 2 * size)).astype(np.float32)
    gate, up = np.split(x.astype(np.float64), 2, axis=1)
    np.testing.assert_allclose(on_machine(x), gate / (1 + np.exp(-gate)) * up, atol=5e-6)


@pytest.mark.parametrize("shapes", [[(0, 8)], [(3, 0)], [(3, 0)] * 2], ids=str)
def test_nothing_has_no_elements(shapes):
    assert on_machine(*[np.ones(shape, np.float32) for shape in shapes]).size == 0


@pytest.mark.parametrize("size", [1, 7, 8])
def test_short_rows_share_blocks(size):
    plugin = SwiGLU().with_inputs("gate")
    inputs = calls.describe_inputs(plugin, [(2**20, 2 * size)], [float32])
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert launch.grid <= size * 2**20 / 1024
    assert launch.constants["BYTES"] == (0 if size == 1 else 16)


def test_few_elements_have_a_thread_each():
    inputs = calls.describe_inputs(SwiGLU(), [(41, 163)] * 2, [float32] * 2)
    (launch,) = calls.steps(SwiGLU(), inputs, calls.describe_outputs(SwiGLU(), inputs))
    assert launch.grid * launch.block >= 41 * 163 > (launch.grid - 1) * launch.block


@pytest.mark.parametrize(
    ("shapes", "message"),
    [([(2, 3)], "SwiGLU/odd: gate"), ([(2, 4), (4,)], "SwiGLU/shapes: gate .*up")],
)
def test_shapes_that_do_not_fit(shapes, message):
    plugin = SwiGLU() if len(shapes) == 2 else SwiGLU().with_inputs("gate")
    with pytest.raises(TensorError, match=message):
        calls.run_reference(plugin, [np.ones(shape, np.float32) for shape in shapes])


@architectures
def test_every_kernel_compiles(arch):
    assert_kernels_compile(specialisations_of([SwiGLU()]), arch)
