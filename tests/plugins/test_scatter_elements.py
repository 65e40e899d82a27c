from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings

from pluginkit import bfloat16, float16, float32, int8, int32, int64
from pluginkit.contract import calls
from pluginkit.contract.dims import InputDim
from pluginkit.errors import TensorError
from pluginkit.plugins.scatter_elements import ScatterElements
from tests.onnx_node_tests import node_tests

REDUCTIONS = ("none", "add", "mul", "min", "max")
CASES = list(ScatterElements.cases())


def run(data, indices, updates, **attributes):
    return calls.run_reference(ScatterElements(**attributes), [data, indices, updates])[0]


def described(plugin, data, updates, dtype=float32, index_type=int64):
    inputs = calls.describe_inputs(plugin, [data, updates, updates], [dtype, index_type, dtype])
    return inputs, calls.describe_outputs(plugin, inputs)


# The reference


def test_backend_tests_are_found():
    backend_tests = node_tests("ScatterElements")
    names = " ".join(test.name for test in backend_tests)
    assert len(backend_tests) >= 7
    for word in ("duplicate", "negative_indices", "without_axis", "_min", "_max", "_mul"):
        assert word in names


def test_reference_passes_the_onnx_backend_tests():
    for test in node_tests("ScatterElements"):
        (node,) = test.model.graph.node
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if "reduction" in attributes:
            attributes["reduction"] = attributes["reduction"].decode()
        for inputs, (expected,) in test.data_sets:
            (output,) = calls.run_reference(ScatterElements(**attributes), inputs)
            np.testing.assert_array_equal(output, expected, err_msg=test.name)


def onnx_runtime(data, indices, updates, axis, reduction):
    helper = onnx.helper
    arrays = {"data": data, "indices": indices, "updates": updates}
    types = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in arrays.items()}
    graph = helper.make_graph(
        [
            helper.make_node(
                "ScatterElements", list(arrays), ["output"], axis=axis, reduction=reduction
            )
        ],
        "scatter",
        [helper.make_tensor_value_info(n, types[n], a.shape) for n, a in arrays.items()],
        [helper.make_tensor_value_info("output", types["data"], data.shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, arrays)[0]


#: What ONNX Runtime has on a CPU; it reduces no 16-bit floats.
RUNTIME_CALLS = [
    (dtype, reduction)
    for dtype in (float32, float16, int64, int32, int8)
    for reduction in (REDUCTIONS if dtype is not float16 else ("none",))
]


@st.composite
def calls_of_scatter(draw):
    rank = draw(st.integers(1, 5))
    data_shape = draw(st.lists(st.integers(1, 5), min_size=rank, max_size=rank))
    axis = draw(st.integers(-rank, rank - 1))
    shape = [draw(st.integers(0, size)) for size in data_shape]
    shape[axis] = draw(st.integers(0, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype, reduction = draw(st.sampled_from(RUNTIME_CALLS))
    index_type = draw(st.sampled_from(ScatterElements.types["Tind"]))
    size = data_shape[axis]
    data, updates = (rng.uniform(-4, 4, s).astype(dtype.numpy) for s in (data_shape, shape))
    indices = rng.integers(-size, size, shape).astype(index_type.numpy)
    return data, indices, updates, axis, reduction


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(calls_of_scatter())
def test_reference_agrees_with_onnx_runtime(call):
    data, indices, updates, axis, reduction = call
    got = run(data, indices, updates, axis=axis, reduction=reduction)
    expected = onnx_runtime(*call)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("index_type", [int32, int64], ids=repr)
@pytest.mark.parametrize("dtype", ScatterElements.types["T"], ids=repr)
def test_reference_one_update_at_a_time(case, dtype, index_type):
    data, updates = (case.inputs[i].astype(dtype.numpy) for i in (0, 2))
    indices = case.inputs[1].astype(index_type.numpy)
    axis, reduction = case.attributes["axis"], case.attributes["reduction"]
    step = {
        "none": lambda old, new: new,
        "add": np.add,
        "mul": np.multiply,
        "min": np.minimum,
        "max": np.maximum,
    }[reduction]
    wide = np.float32 if dtype in (float16, bfloat16) else dtype.numpy
    expected = data.astype(wide)
    with np.errstate(over="ignore"):
        for place in itertools.product(*map(range, indices.shape)):
            target = list(place)
            target[axis] = indices[place]
            old = expected[tuple(target)]
            expected[tuple(target)] = step(old, updates[place].astype(wide))
    got = run(data, indices, updates, axis=axis, reduction=reduction)
    np.testing.assert_array_equal(got, expected.astype(dtype.numpy))


def test_last_duplicate_is_written():
    got = run(np.zeros(3, np.int32), np.array([1, 1, -2]), np.array([5, 6, 7], np.int32))
    assert got.tolist() == [0, 7, 0]


def test_integers_wrap():
    data, one = np.array([127, -128, 64], np.int8), np.zeros(1, np.int64)
    assert run(data, one, np.ones(1, np.int8), reduction="add").tolist() == [-128, -128, 64]
    assert run(data, one + 2, np.full(1, 3, np.int8), reduction="mul").tolist() == [127, -128, -64]


@pytest.mark.parametrize("reduction", ["min", "max"])
def test_nan_wins(reduction):
    data = np.array([np.nan, 1, np.inf], np.float32)
    updates = np.array([1, np.nan, -np.inf], np.float32)
    got = run(data, np.arange(3), updates, reduction=reduction)
    assert np.isnan(got).tolist() == [True, True, False]


def test_half_overflows_quietly():
    data = np.full(1, 60000, np.float16)
    assert run(data, np.zeros(1, np.int64), data, reduction="add").tolist() == [np.inf]


def test_inputs_are_not_written_to():
    data = np.zeros(3, np.float32)
    run(data, np.arange(3), np.ones(3, np.float32))
    assert data.tolist() == [0, 0, 0]


# Errors


@pytest.mark.parametrize(("index", "position"), [(4, [1, 0]), (-5, [0, 2])])
def test_index_out_of_range_is_named(index, position):
    indices = np.zeros((2, 3), np.int64)
    indices[tuple(position)] = index
    with pytest.raises(TensorError) as caught:
        run(np.zeros((5, 4), np.float32), indices, np.zeros((2, 3), np.float32), axis=1)
    assert caught.value.code == "ScatterElements/index"
    assert f"indices{position} is {index}; expected -4 to 3 (axis 1)" in str(caught.value)
    assert "1 of 6 indices" in str(caught.value)


def test_index_into_an_empty_axis():
    with pytest.raises(
        TensorError, match=r"^ScatterElements/index: indices\[0\] is 0; .* axis is empty"
    ):
        run(np.zeros(0, np.float32), np.zeros(1, np.int64), np.zeros(1, np.float32))


@pytest.mark.parametrize(
    ("data", "indices", "updates", "message"),
    [
        ((3, 4), (3,), (3,), "ScatterElements/shapes: data .* one rank"),
        ((3, 4), (3, 2), (3, 1), "PK124 ScatterElements: input updates .* as in indices"),
        (
            (3, 4),
            (4, 2),
            (4, 2),
            "shapes: .* indices within data in dimension 0, which is not axis 1",
        ),
        ((3,), (3,), (3,), "PK126 axis 1 "),
        ((), (), (), "PK112 .* rank 0"),
    ],
)
def test_shapes_that_do_not_fit(data, indices, updates, message):
    arrays = np.zeros(data, np.float32), np.zeros(indices, np.int64), np.zeros(updates, np.float32)
    with pytest.raises(TensorError, match=message):
        run(*arrays, axis=1)


def test_more_updates_than_the_axis_is_long():
    got = run(np.zeros(2, np.int32), np.array([0, 1, 0, 1, 0]), np.arange(5, dtype=np.int32))
    assert got.tolist() == [4, 3]


def test_unknown_dimensions():
    plugin = ScatterElements(axis=-1)
    shapes = [tuple(InputDim(i, axis) for axis in range(2)) for i in range(3)]
    inputs = calls.describe_inputs(plugin, shapes, [float32, int64, float32])
    calls.check(plugin, inputs)
    (output,) = calls.describe_outputs(plugin, inputs)
    assert output.shape == inputs[0].shape
