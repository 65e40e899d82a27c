import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pluginkit import int32
from pluginkit.contract import calls
from pluginkit.errors import TensorError
from pluginkit.kernels.enqueue_steps import enqueue_steps
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.plugins.non_zero import NonZero
from pluginkit.testing import run_kernels
from tests.onnx_node_tests import node_tests


def reference(x):
    return calls.run_reference(NonZero(), [x])


@settings(deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.int64, np.int8, np.bool_]),
        hnp.array_shapes(min_dims=1, max_dims=8, min_side=0, max_side=3),
    )
)
def test_each_column_is_an_element_that_is_not_zero(x):
    indices, count = reference(x)
    assert indices.shape == (x.ndim, int(count))
    assert (x[tuple(indices)] != 0).all()
    assert int(count) == np.count_nonzero(x)
    order = np.ravel_multi_index(tuple(indices), x.shape) if count else np.array([])
    assert (np.diff(order) > 0).all()


def test_the_tests_that_come_with_onnx_agree():
    tests = node_tests("NonZero")
    assert tests
    for test in tests:
        for (x,), (expected,) in test.data_sets:
            np.testing.assert_array_equal(reference(x)[0], expected)


def test_nan_is_found_and_negative_zero_is_not():
    assert reference(np.array([np.nan, -0.0, np.inf, 0.0], np.float32))[0].tolist() == [[0, 2]]


def test_denormals_are_found():
    run = run_kernels(NonZero(), [np.array([0, 1e-40, 0, -1e-45], np.float32)])
    assert run.outputs[0].tolist() == [[1, 3]]


def test_a_scalar_is_refused():
    with pytest.raises(TensorError, match=r"PK112.*rank 0; expected 1 to 8"):
        reference(np.float32(1))


def test_more_elements_than_the_size_output_holds_are_refused():
    inputs = calls.describe_inputs(NonZero(), [(2**31,)], [NonZero.spec.inputs[0].dtypes[0]])
    with pytest.raises(TensorError, match=r"PK118.*may become 2147483648"):
        calls.describe_outputs(NonZero(), inputs)


@pytest.mark.parametrize(
    ("shape", "tiles"), [((0, 3), 0), ((8192,), 1), ((8193,), 2), ((3, 4000), 2)]
)
def test_a_tile_is_what_a_block_loads(shape, tiles):
    dtype = NonZero.spec.inputs[0].dtypes[0]  # float32: 512 threads load 8192 elements
    inputs = calls.describe_inputs(NonZero(), [shape], [dtype])
    assert calls.workspace_bytes(NonZero(), inputs) == 8 * tiles
    work = enqueue_steps(NonZero(), inputs, calls.describe_outputs(NonZero(), inputs))
    assert [launch.grid for launch in work.launches] == ([tiles, 1, tiles] if tiles else [])
    assert len(work.steps) == (3 if tiles else 1)


def test_the_node_lists_the_size():
    node = plugin_node(NonZero(), ["x"], ["indices", "count"], "n")
    assert list(node.output) == ["indices", "count"]
    assert NonZero.spec.sizes[0].dtypes == (int32,)
    assert NonZero.spec.needs_v3 == "output 'count' makes a shape depend on data"
