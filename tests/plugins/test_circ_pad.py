from __future__ import annotations

import itertools

import numpy as np
import pytest

from pluginkit import Case, Copy, float32, int8, offset_type
from pluginkit.contract import calls
from pluginkit.contract.dims import DimExpr, InputDim, evaluate
from pluginkit.errors import AttributeValueError, TensorError
from pluginkit.plugins.circ_pad import CircPad, launches
from pluginkit.testing import run_kernels
from tests.plugins.compilation import assert_few_compile, specialisations_of

CASES = {case.name: case for case in CircPad.cases()}


def described(plugin, shape, dtype=float32):
    inputs = calls.describe_inputs(plugin, [shape], [dtype])
    return inputs, calls.describe_outputs(plugin, inputs)


def wrapped(x, begin, end):
    """Apply the docstring's formula, one element at a time."""
    first = x.ndim - len(begin)
    pads = [(0, 0)] * first + list(zip(begin, end, strict=True))
    y = np.empty([n + b + e for n, (b, e) in zip(x.shape, pads, strict=True)], x.dtype)
    for index in itertools.product(*map(range, y.shape)):
        triples = zip(index, pads, x.shape, strict=True)
        y[index] = x[tuple((i - b) % n for i, (b, _), n in triples)]
    return y


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"many_blocks"}))
@pytest.mark.parametrize("dtype", CircPad.types["T"], ids=repr)
def test_reference_follows_the_formula(name, dtype):
    case = CASES[name]
    x, pads = case.inputs[0].astype(dtype.numpy), case.attributes["pads"]
    (y,) = calls.run_reference(CircPad(pads=pads), [x])
    half = len(pads) // 2
    np.testing.assert_array_equal(y, wrapped(x, pads[:half], pads[half:]))


def test_a_vector():
    (y,) = calls.run_reference(CircPad(pads=(1, 2)), [np.arange(4, dtype=np.int32)])
    assert y.tolist() == [3, 0, 1, 2, 3, 0, 1]


def test_onnx_runtime_agrees():
    import onnx
    import onnxruntime as ort

    helper, proto = onnx.helper, onnx.TensorProto
    compared = 0
    for case in CASES.values():
        (x,), pads = case.inputs, case.attributes["pads"]
        if 0 in x.shape:  # ONNX Runtime returns no output for these
            continue
        half, before = len(pads) // 2, (0,) * (x.ndim - len(pads) // 2)
        full = np.array([*before, *pads[:half], *before, *pads[half:]])
        graph = helper.make_graph(
            [helper.make_node("Pad", ["x", "pads"], ["y"], mode="wrap")],
            "pad",
            [helper.make_tensor_value_info("x", proto.FLOAT, x.shape)],
            [helper.make_tensor_value_info("y", proto.FLOAT, None)],
            [onnx.numpy_helper.from_array(full, "pads")],
        )
        opset = [helper.make_opsetid("", 19)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9)
        session = ort.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        (expected,) = session.run(None, {"x": x})
        (y,) = calls.run_reference(CircPad(pads=pads), [x])
        np.testing.assert_array_equal(y, expected, err_msg=case.name)
        compared += 1
    assert compared >= 8


def test_kernels_compile():
    plugins = [CircPad(pads=(1,) * 2 * axes) for axes in (1, 2, 8)]
    assert_few_compile(specialisations_of(plugins), "75")


@pytest.mark.parametrize(
    ("pads", "axes"),
    [
        ((0, 1, 0, 2), [(9, 6, 5)]),
        ((1, 0, 2, 0), [(8 * 6, 5 * 6, 4 * 6)]),
        ((0, 3, 0, 0, 0, 0), [(8 * 6, 5 * 6, 2 * 6)]),
        ((2, 0, 1, 0, 0, 4), [(6 * 5, 4 * 5, 2 * 5), (11, 6, 5)]),
    ],
)
def test_axes_without_pads_are_part_of_those_before_them(pads, axes):
    """An axis of the kernel has sizes of y and x, and a shift; the first one has only items."""
    plugin = CircPad(pads=pads)
    inputs, outputs = described(plugin, (3, 4, 5, 6))
    numbers = plugin.launches(*inputs, *outputs).args[2].values
    assert plugin.kernel_axes == len(axes)
    assert [numbers[first : first + 5 : 2] for first in range(0, len(numbers), 5)] == axes


def test_without_pads_it_is_a_copy():
    plugin = CircPad(pads=(0, 0, 0, 0))
    (x,), (y,) = described(plugin, (3, 4, 5))
    step = plugin.launches(x, y)
    assert isinstance(step, Copy)
    assert (step.source, step.target) == (x, y)


@pytest.mark.parametrize(
    ("size", "offset"), [(2**30 - 1, "unsigned int"), (2**30, "unsigned long long")]
)
def test_elements_of_large_tensors_are_counted_in_64_bits(size, offset):
    plugin = CircPad(pads=(1, 0))
    inputs, outputs = described(plugin, (size,), int8)
    assert plugin.launches(*inputs, *outputs).constants["OFFSET"] == offset


@pytest.mark.parametrize("dtype", CircPad.types["T"], ids=repr)
def test_vectors_cross_rows_and_wrap(dtype, monkeypatch):
    monkeypatch.setattr(launches, "_MANY", 1)
    for name in ("beyond_axis", "all_axes", "odd", "rank_eight", "vector"):
        assert_as_reference(CASES[name], dtype)
    assert_as_reference(Case("tail", [np.ones(3, np.float32)], {"pads": (1, 1)}), dtype)


@pytest.mark.slow
def test_kernels_on_a_cpu():
    for case in CASES.values():
        for dtype in CircPad.types["T"] if case.name == "image" else CircPad.types["T"][:1]:
            assert_as_reference(case, dtype)


def test_elements_are_counted_in_64_bits(monkeypatch):
    monkeypatch.setattr(launches, "offset_type", lambda *_: offset_type(2**31))
    for many in (1, 2**20):
        monkeypatch.setattr(launches, "_MANY", many)
        assert_as_reference(CASES["all_axes"], float32)


def assert_as_reference(case, dtype):
    plugin, x = CircPad(**case.attributes), case.inputs[0].astype(dtype.numpy)
    run, (expected,) = run_kernels(plugin, [x]), calls.run_reference(plugin, [x])
    assert not run.findings, case.name
    np.testing.assert_array_equal(run.outputs[0], expected, err_msg=case.name)
    assert run.outputs[0].dtype == expected.dtype


@pytest.mark.parametrize("pads", [(), (1,), (1, 2, 3), (1, -1), (-1, 1)])
def test_impossible_pads(pads):
    with pytest.raises(AttributeValueError, match="PK104 CircPad: attribute 'pads'"):
        CircPad(pads=pads)


def test_more_pads_than_axes():
    with pytest.raises(TensorError, match="CircPad/rank: x .* has 1 axes; pads is for 2"):
        calls.run_reference(CircPad(pads=(1, 1, 1, 1)), [np.ones(3, np.float32)])


def test_nothing_to_wrap():
    with pytest.raises(TensorError, match="CircPad/empty: x .* empty axis"):
        calls.run_reference(CircPad(pads=(1, 0)), [np.ones((2, 0), np.float32)])


def test_unknown_dimensions():
    plugin = CircPad(pads=(1, 2, 3, 4))
    shape = tuple(InputDim(0, axis) for axis in range(3))
    inputs = calls.describe_inputs(plugin, [shape], [float32])
    calls.check(plugin, inputs)
    (y,) = calls.describe_outputs(plugin, inputs)
    assert all(isinstance(dim, DimExpr) for dim in y.shape)
    assert [evaluate(dim, [(5, 6, 7)]) for dim in y.shape] == [5, 6 + 1 + 3, 7 + 2 + 4]
