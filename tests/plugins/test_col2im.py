import numpy as np
import pytest

from pluginkit import float32
from pluginkit.contract import calls
from pluginkit.errors import AttributeValueError, PluginkitError
from pluginkit.plugins.col2im import Col2Im
from pluginkit.testing import run_kernels
from tests.graph_rewrites.test_expand_col2im import summed
from tests.plugins.compilation import architectures, assert_kernels_compile, specialisations_of


@pytest.mark.parametrize(
    ("strides", "dilations", "pads", "count"),
    [
        ((1, 1), (1, 1), (0, 0, 0, 0), 25),
        ((2, 3), (1, 1), (1, 0, 0, 2), 9),
        ((1, 2), (2, 1), (0, 1, 1, 1), 20),
        ((4, 4), (1, 1), (0, 0, 0, 0), 4),
    ],
    ids=str,
)
def test_blocks_are_summed_as_one_by_one(strides, dilations, pads, count):
    x = np.random.default_rng(1).normal(size=(2, 18, count)).astype(np.float32)
    plugin = Col2Im(
        image_shape=(6, 7), block_shape=(2, 3), strides=strides, dilations=dilations, pads=pads
    )
    run = run_kernels(plugin, [x])
    assert not run.findings
    expected = summed(x, (6, 7), (2, 3), strides, dilations, pads)
    np.testing.assert_allclose(run.outputs[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(run.outputs[0], calls.run_reference(plugin, [x])[0])


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 6, 4), "expected a multiple of 4 rows"), ((1, 4, 5), "expected 2 x 2 blocks")],
)
def test_columns_that_are_no_blocks_are_refused(shape, message):
    plugin = Col2Im(image_shape=(3, 3), block_shape=(2, 2))
    with pytest.raises(PluginkitError, match=message):
        calls.check(plugin, calls.describe_inputs(plugin, [shape], [float32]))


def test_blocks_larger_than_the_image_are_refused():
    plugin = Col2Im(image_shape=(3, 3), block_shape=(4, 2))
    with pytest.raises(PluginkitError, match="do not fit into"):
        calls.check(plugin, calls.describe_inputs(plugin, [(1, 8, 1)], [float32]))


@pytest.mark.parametrize(
    "attributes",
    [{"image_shape": (3,)}, {"strides": (0, 1)}, {"pads": (0, 0)}, {"pads": (0, 0, -1, 0)}],
    ids=str,
)
def test_attributes_out_of_range_are_refused(attributes):
    with pytest.raises(AttributeValueError, match="numbers from"):
        Col2Im(**{"image_shape": (3, 3), "block_shape": (2, 2), **attributes})


@architectures
def test_every_kernel_compiles(arch):
    plugin = Col2Im(image_shape=(3, 3), block_shape=(2, 2))
    assert_kernels_compile(specialisations_of([plugin]), arch)
