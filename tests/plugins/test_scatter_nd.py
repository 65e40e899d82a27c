"""ScatterND: its reference, its errors, and what it launches."""

from __future__ import annotations

from math import prod

import hypothesis.strategies as st
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings

from pluginkit import FLOAT_TYPES, bfloat16, float16, float32, int8, int32, int64
from pluginkit.contract import calls
from pluginkit.contract.dims import InputDim
from pluginkit.contract.launches import Copy, Fill, Launch
from pluginkit.errors import TensorError
from pluginkit.kernels.compile import compile_launches
from pluginkit.plugins.scatter_nd import ScatterND
from pluginkit.plugins.scatter_nd.launches import ScatteredRows, rows_of
from tests.onnx_node_tests import node_tests
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
UFUNCS = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
CASES = list(ScatterND.cases())


def run(data, indices, updates, reduction="none"):
    return calls.run_reference(ScatterND(reduction=reduction), [data, indices, updates])[0]


# The reference


def test_backend_tests_are_found():
    backend_tests = node_tests("ScatterND")
    assert len(backend_tests) >= 7
    names = " ".join(test.name for test in backend_tests)
    for word in ("_add", "_multiply", "_min", "_max", "element_indices"):
        assert word in names


def test_reference_passes_the_onnx_backend_tests():
    for test in node_tests("ScatterND"):
        (node,) = test.model.graph.node
        attributes = {a.name: onnx.helper.get_attribute_value(a).decode() for a in node.attribute}
        for inputs, (expected,) in test.data_sets:
            (output,) = calls.run_reference(ScatterND(**attributes), inputs)
            np.testing.assert_array_equal(output, expected, err_msg=test.name)


def onnx_model(data, indices, updates, reduction):
    helper = onnx.helper
    arrays = {"data": data, "indices": indices, "updates": updates}
    types = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in arrays.items()}
    graph = helper.make_graph(
        [helper.make_node("ScatterND", list(arrays), ["output"], reduction=reduction)],
        "scatter",
        [helper.make_tensor_value_info(n, types[n], a.shape) for n, a in arrays.items()],
        [helper.make_tensor_value_info("output", types["data"], data.shape)],
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9), arrays


def onnx_runtime(*call):
    model, arrays = onnx_model(*call)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, arrays)[0]


def onnx_reference(*call):
    from onnx.reference import ReferenceEvaluator

    model, arrays = onnx_model(*call)
    return ReferenceEvaluator(model).run(None, arrays)[0]


#: What ONNX Runtime has on a CPU; it reduces no 16-bit floats.
RUNTIME_CALLS = [
    (dtype, reduction)
    for dtype in (float32, float16, int64, int32, int8)
    for reduction in (REDUCTIONS if dtype is not float16 else ("none",))
]


@st.composite
def calls_of_scatter(draw, dtypes_and_reductions):
    rank = draw(st.integers(1, 5))
    data_shape = draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank))
    depth = draw(st.integers(0, rank))
    count = draw(st.lists(st.integers(0, 4), max_size=min(3, 8 - rank + depth)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype, reduction = draw(st.sampled_from(dtypes_and_reductions))
    sizes = np.array(data_shape[:depth], np.int64)
    indices = rng.integers(-sizes, np.maximum(sizes, 1), (*count, depth))
    shapes = data_shape, (*count, *data_shape[depth:])
    data, updates = (rng.uniform(-4, 4, shape).astype(dtype.numpy) for shape in shapes)
    return data, indices, updates, reduction


@settings(max_examples=300, deadline=None, derandomize=True)
@given(calls_of_scatter(RUNTIME_CALLS))
def test_reference_agrees_with_onnx_runtime(call):
    np.testing.assert_array_equal(run(*call), onnx_runtime(*call))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(calls_of_scatter([(d, r) for d in (float32, int64, int32, int8) for r in REDUCTIONS]))
def test_reference_agrees_with_onnx_reference(call):
    np.testing.assert_array_equal(run(*call), onnx_reference(*call))


def one_slice_at_a_time(data, indices, updates, reduction, wide):
    """Run the loop of ONNX's specification."""
    expected, updates = data.astype(wide), updates.astype(wide)
    with np.errstate(over="ignore"):
        for place in np.ndindex(indices.shape[:-1]):
            target = tuple(indices[place])
            step = UFUNCS.get(reduction, lambda old, new: new)
            expected[target] = step(expected[target], updates[place])
    return expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", ScatterND.types["T"], ids=repr)
def test_reference_one_slice_at_a_time(case, dtype):
    data, updates = (case.inputs[i].astype(dtype.numpy) for i in (0, 2))
    call = data, case.inputs[1], updates, case.attributes["reduction"]
    wide = np.float32 if dtype in (float16, bfloat16) else dtype.numpy
    expected = one_slice_at_a_time(*call, wide)
    np.testing.assert_array_equal(run(*call), expected.astype(dtype.numpy))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(calls_of_scatter([(d, r) for d in FLOAT_TYPES for r in ("add", "mul")]))
def test_reference_is_as_near_to_float64_as_one_rounding(call):
    data, indices, updates, reduction = call
    expected = one_slice_at_a_time(*call, np.float64)
    sizes = np.abs(data), indices, np.abs(updates), reduction
    largest = one_slice_at_a_time(*sizes, np.float64)  # no intermediate sum is larger
    last = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}[str(data.dtype)]
    smallest = 2.0**-24  # a step of float16 near zero
    each = (prod(indices.shape[:-1]) + 1) * 2.0**-23
    error = np.abs(run(*call).astype(np.float64) - expected)
    assert (error <= last * np.abs(expected) + each * np.maximum(largest, 1) + smallest).all()


@pytest.mark.parametrize("depth", range(9))
def test_every_depth(depth):
    rng = np.random.default_rng(depth)
    shape = (2, 3, 1, 2, 3, 2, 1, 2)
    count = (5,) if depth else ()  # the rank of several updates of depth 0 would be 9
    indices = rng.integers(-np.array(shape[:depth], int), shape[:depth], (*count, depth))
    data, updates = (rng.integers(-9, 9, s) for s in (shape, (*count, *shape[depth:])))
    got = run(data, indices, updates, "add")
    expected = one_slice_at_a_time(data, indices, updates, "add", np.int64)
    np.testing.assert_array_equal(got, expected)
    assert (got != data).any()


def test_the_last_of_equal_tuples_is_written():
    got = run(np.zeros(3, np.int32), np.array([[1], [1], [-2]]), np.array([5, 6, 7], np.int32))
    assert got.tolist() == [0, 7, 0]


def test_integers_wrap():
    data, one = np.array([127, -128, 64], np.int8), np.zeros((1, 1), np.int64)
    assert run(data, one, np.ones(1, np.int8), "add").tolist() == [-128, -128, 64]
    assert run(data, one + 2, np.full(1, 3, np.int8), "mul").tolist() == [127, -128, -64]


@pytest.mark.parametrize("reduction", ["min", "max"])
def test_nan_wins(reduction):
    data = np.array([np.nan, 1, np.inf], np.float32)
    updates = np.array([1, np.nan, -np.inf], np.float32)
    got = run(data, np.arange(3)[:, None], updates, reduction)
    assert np.isnan(got).tolist() == [True, True, False]


def test_half_overflows_quietly():
    data = np.full(1, 60000, np.float16)
    assert run(data, np.zeros((1, 1), np.int64), data, "add").tolist() == [np.inf]


def test_inputs_are_not_written_to():
    data = np.zeros(3, np.float32)
    run(data, np.arange(3)[:, None], np.ones(3, np.float32))
    assert data.tolist() == [0, 0, 0]


# Errors


@pytest.mark.parametrize(
    ("index", "position", "allowed"),
    [
        (5, [1, 0], r"-5 to 4 (dimension 0 of data)"),
        (-5, [0, 1], r"-4 to 3 (dimension 1 of data)"),
        (-(2**63), [0, 1], r"-4 to 3 (dimension 1 of data)"),
    ],
)
def test_index_out_of_range_is_named(index, position, allowed):
    indices = np.zeros((2, 2), np.int64)
    indices[tuple(position)] = index
    with pytest.raises(TensorError) as caught:
        run(np.zeros((5, 4), np.float32), indices, np.zeros(2, np.float32))
    assert caught.value.code == "ScatterND/index"
    assert f"indices{position} is {index}; expected {allowed}" in str(caught.value)
    assert "1 of 4 indices" in str(caught.value)


def test_index_into_an_empty_dimension():
    with pytest.raises(
        TensorError, match=r"^ScatterND/index: indices\[0, 0\] is 0; .*dimension is empty"
    ):
        run(np.zeros(0, np.float32), np.zeros((1, 1), np.int64), np.zeros(1, np.float32))


@pytest.mark.parametrize(
    ("data", "indices", "updates", "code"),
    [
        ((3, 4), (2, 1), (2,), "ScatterND/shapes: data "),  # a slice is missing
        ((3, 4), (2, 1), (2, 3), "ScatterND/shapes: data "),  # a slice of another size
        ((3, 4), (2, 1), (3, 4), "ScatterND/shapes: data "),  # another number of updates
        ((3, 4), (2, 2), (2, 4), "ScatterND/shapes: data "),  # the ranks imply another depth
        ((3, 4), (2, 3), (2,), "ScatterND/shapes: data "),  # deeper than data
        ((3, 4), (1,), (3, 4, 5), "ScatterND/shapes: data "),  # the ranks imply a negative depth
        ((3,), (2, 2), (), "ScatterND/shapes: data "),
        ((), (1, 0), (1,), "PK112"),
        ((3,), (), (3,), "PK112"),
    ],
)
def test_shapes_that_do_not_fit(data, indices, updates, code):
    arrays = np.zeros(data, np.float32), np.zeros(indices, np.int64), np.zeros(updates, np.float32)
    with pytest.raises(TensorError, match=code):
        run(*arrays)


def test_indices_are_int64_only():
    with pytest.raises(TensorError, match="PK112 .*'indices' is int32; expected int64"):
        run(np.zeros(3, np.float32), np.zeros((1, 1), np.int32), np.zeros(1, np.float32))


def unknown(*ranks):
    return [tuple(InputDim(i, axis) for axis in range(rank)) for i, rank in enumerate(ranks)]


def test_unknown_dimensions():
    plugin = ScatterND()
    inputs = calls.describe_inputs(plugin, unknown(3, 2, 2), [float32, int64, float32])
    calls.check(plugin, inputs)
    (output,) = calls.describe_outputs(plugin, inputs)
    assert output.shape == inputs[0].shape


def test_ranks_that_never_fit_are_refused_before_dimensions_are_known():
    inputs = calls.describe_inputs(ScatterND(), unknown(2, 1, 4), [float32, int64, float32])
    with pytest.raises(TensorError, match="ScatterND/shapes: data "):
        calls.check(ScatterND(), inputs)


# What is launched


def described(data, indices, updates=None, dtype=float32, reduction="add"):
    plugin = ScatterND(reduction=reduction)
    if updates is None:
        updates = (*indices[:-1], *data[indices[-1] :])
    inputs = calls.describe_inputs(plugin, [data, indices, updates], [dtype, int64, dtype])
    calls.check(plugin, inputs)
    return plugin, inputs, calls.describe_outputs(plugin, inputs)


def steps(*shapes, **options):
    return calls.steps(*described(*shapes, **options))


LISTS = "link_tuples gather_rows finish_long_lists"
COPY, FEW = "copy_bytes scatter_in_place", "combine_few"


@pytest.mark.parametrize(
    ("kernels", "data", "indices", "dtype"),
    [
        (LISTS, (1_000_000, 64), (4_000_000, 1), float32),
        (LISTS, (512, 512, 64), (100_000, 2), float32),
        (LISTS, (512, 512, 64), (30_000, 2), int32),  # no vectors are added at once
        ("scatter_in_place", (512, 512, 64), (30_000, 2), float32),  # few rows get updates
        (COPY, (8000, 64), (400_000, 1), float16),  # the cache holds data
        (COPY, (8000, 64), (700_000, 1), float16),  # very many updates
        (COPY, (800, 64), (70_000, 1), float16),  # of few rows
        (LISTS, (8000, 65), (9000, 1), float16),
        (LISTS, (200_000, 3, 3), (70_000, 1), float16),  # rows of 18 bytes
        (LISTS, (300, 64), (2**11, 1), int8),
        (COPY, (300, 64), (2**11 - 1, 1), int8),  # too few for lists
        ("scatter_in_place", (256, 256, 256), (4_000_000, 3), float32),  # single elements
        (COPY, (70_000, 3), (900_000, 1), float32),  # rows of 12 bytes
        (COPY, (1, 64), (40_000, 1), float32),
        ("scatter_in_place", (10_000_000, 4), (400_000, 1), float32),  # few, in very many rows
        ("scatter_in_place", (2, 2**24), (2, 1), float32),
        ("scatter_in_place", (600, 2**24), (900, 1), float32),  # a grid cannot count pieces
        ("scatter_in_place", (2**31, 16), (10_000, 1), int8),  # more rows than places in lists
        (COPY, (4, 6), (0, 1), float32),
        (COPY, (0, 6), (0, 2), float32),
        (FEW, (8, 512), (8, 1), float32),
        (FEW, (2**18, 4), (32, 1), float32),
        (COPY, (2**18, 4), (33, 1), float32),
        (COPY, (2**18, 5), (32, 1), float32),  # the copy takes longer than a launch
    ],
)
def test_the_kernels_follow_from_the_shape(kernels, data, indices, dtype):
    listed = steps(data, indices, dtype=dtype)
    launched = [step for step in listed if isinstance(step, Launch)]
    assert " ".join(step.kernel.name.split("<")[0] for step in launched) == kernels
    others = [type(step) for step in listed if not isinstance(step, Launch)]
    assert others == {LISTS: [Fill], "scatter_in_place": [Copy]}.get(kernels, [])


@pytest.mark.parametrize(
    ("inner", "dtype", "vector"),
    [
        (64, float32, 16),
        (65, float32, 4),
        (64, float16, 16),
        (66, float16, 4),
        (65, bfloat16, 1),
        (64, int64, 16),
        (65, int64, 4),
        (68, int8, 4),
        (66, int8, 1),
    ],
)
def test_rows_are_taken_in_the_widest_units_that_divide_them(inner, dtype, vector):
    _, link, gathered, *_, finish = steps((900_000, inner), (2_000_000, 1), dtype=dtype)
    in_place = steps((10, inner), (60, 1), dtype=dtype)[1]
    (few,) = steps((10, inner), (9, 1), dtype=dtype)
    for launch in (gathered, finish, in_place, few):
        assert launch.constants["VECTOR"] == vector
    assert link.constants["KEEP_LAST"] is False


@pytest.mark.parametrize(
    ("inner", "lanes", "pieces"),
    [
        (8, 4, 1),
        (64, 16, 1),
        (128, 32, 1),
        (1028, 32, 9),
        (15, 4, 1),  # a thread takes four single elements at once
        (33, 16, 1),
        (1025, 32, 2),
    ],
)
def test_long_rows_are_cut_into_pieces(inner, lanes, pieces):
    gathered = steps((2_000_000, inner), (5_000_000, 1))[2]
    assert gathered.constants["LANES"] == lanes
    assert gathered.grid == (-(-2_000_000 * lanes // 128), pieces)


def test_a_grid_can_count_the_pieces_of_the_longest_row():
    gathered = steps((2, 2**23), (32, 1), dtype=int8)[2]
    assert gathered.grid[1] == 2**23 // 32 // 16
    gathered = steps((2, 2**23 - 1), (32, 1), dtype=int8)[2]
    assert gathered.grid[1] <= 65535
    assert gathered.args[-2].values[0] * gathered.grid[1] >= 2**23 - 1


def test_none_keeps_the_last_update_of_a_list_and_leaves_nothing():
    listed = steps((200_000, 64), (900_000, 1), reduction="none")
    assert [type(step) for step in listed] == [Fill, Launch, Launch]
    assert listed[1].constants["KEEP_LAST"] is True


@pytest.mark.parametrize(
    ("data", "indices", "offset"),
    [
        ((2**31 - 1,), (5, 1), "unsigned int"),
        ((2**31,), (5, 1), "unsigned long long"),
        ((5,), (2**31, 1), "unsigned long long"),
        ((0, 2**31), (0, 2), "unsigned long long"),
    ],
)
def test_offsets_are_as_wide_as_needed(data, indices, offset):
    assert steps(data, indices, dtype=int8)[1].constants["OFFSET"] == offset


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_the_workspace_of_the_largest_shape_serves_every_smaller_one(draws):
    columns = draws.draw(st.sampled_from([1, 3, 4, 16, 64, 1024]))
    rows, count = (draws.draw(st.integers(1, most)) for most in (3000, 9000))
    plugin, largest, _ = described((rows, columns), (count, 1))
    provided = calls.workspace_bytes(plugin, largest)
    smaller = [draws.draw(st.integers(1, most)) for most in (rows, count)]
    plugin, inputs, outputs = described((smaller[0], columns), (smaller[1], 1))
    assert calls.workspace_bytes(plugin, inputs) <= provided
    calls.steps(plugin, inputs, outputs)  # raises when a step reaches past the workspace


def test_rows_are_what_a_tuple_names():
    _, inputs, _ = described((2, 3, 4, 5), (6, 7, 2), dtype=float16)
    assert rows_of(*inputs) == ScatteredRows(sizes=(2, 3), updates=42, inner=20, itemsize=2)


# Compilation


@pytest.fixture(scope="module")
def every():
    assert len(ScatterND.spec.kernels) == 6
    every = specialisations_of(ScatterND(reduction=each) for each in REDUCTIONS)
    # scatter_in_place has two offsets, gather_rows and finish_long_lists four widths of groups
    assert len(every) == 6 * 5 * 3 * (1 + 2 + 2 * 4) + 2 + 1
    return every


def test_each_kernel_compiles(every):
    assert len({function_of(each) for each in every}) == 6
    assert_few_compile(every, QUICK)


@every_architecture
def test_every_specialisation_compiles(every, arch):
    assert_all_compile(share_of(every, arch), arch)


@pytest.mark.parametrize(
    ("data", "indices", "kernels"),
    [
        ((3, 4), (2, 2), 1),
        ((3, 5), (4, 0), 1),
        ((2**24, 64), (60_000, 1), 1),  # the driver copies
        ((2000, 64), (4000, 1), 2),  # a copy, as data is small
        ((200_000, 64), (900_000, 1), 3),
        ((2,) * 8, (3, 8), 1),
    ],
)
def test_arguments_fit_the_kernels(data, indices, kernels):
    compiled = compile_launches(*described(data, indices), "80")
    assert len(compiled) == kernels
    assert all(each.cubin.startswith(b"\x7fELF") for each in compiled)
