from __future__ import annotations

import itertools

import numpy as np
import pytest

from pluginkit import float32, int8
from pluginkit.contract import calls
from pluginkit.contract.dims import DimExpr, InputDim, evaluate
from pluginkit.errors import AttributeValueError, TensorError
from pluginkit.kernels.compile import compile_launches, compile_numba
from pluginkit.kernels.specialise import specialise
from pluginkit.plugins import circ_pad
from pluginkit.plugins.circ_pad import CircPad
from pluginkit.testing import run_kernels
from tests.plugins.compilation import architectures

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


@architectures
@pytest.mark.parametrize("dtype", CircPad.types["T"], ids=repr)
def test_kernels_compile(dtype, arch):
    plugin = CircPad(pads=(1, 2, 3, 4))
    (compiled,) = compile_launches(plugin, *described(plugin, (2, 8, 8), dtype), arch)
    assert compiled.cubin.startswith(b"\x7fELF")


@pytest.mark.parametrize("axes", range(1, 9))
@pytest.mark.parametrize("kernel", ["kernel", "items_kernel", "wide_kernel"])
def test_kernels_compile_for_every_number_of_axes(axes, kernel, monkeypatch):
    monkeypatch.setattr(CircPad, "kernel", getattr(CircPad, kernel))
    plugin = CircPad(pads=(1,) * 2 * axes)
    launch = plugin.launches(*itertools.chain(*described(plugin, (2,) * axes)))
    compiled = compile_numba(specialise(plugin, {}, launch), "86")
    assert compiled.parameter_sizes == ((8,) * (7 + 7 + 3 * (axes + 1) + 1),)


@pytest.mark.parametrize(("size", "is_wide"), [(2**31 - 2, False), (2**31 - 1, True)])
def test_large_tensors_take_the_wide_kernel(size, is_wide):
    plugin = CircPad(pads=(1, 0))
    inputs, outputs = described(plugin, (size,), int8)
    launch = plugin.launches(*inputs, *outputs)
    assert launch.kernel is (plugin.wide_kernel if is_wide else plugin.kernel)


@pytest.mark.parametrize(("pads", "grid"), [((5, 1, 0, 13), 8), ((0, 1, 0, 13), 5)])
def test_threads_write_an_element_of_several_items(pads, grid, monkeypatch):
    monkeypatch.setattr(circ_pad, "_MANY", 1)
    x = np.random.default_rng(3).normal(size=(11, 17, 31)).astype(np.float32)
    plugin = CircPad(pads=pads)
    launch = plugin.launches(*itertools.chain(*described(plugin, x.shape)))
    assert (launch.kernel, launch.grid) == (plugin.items_kernel, grid)
    run, (expected,) = run_kernels(plugin, [x]), calls.run_reference(plugin, [x])
    assert not run.findings
    np.testing.assert_array_equal(run.outputs[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kernel",
    [CircPad.kernel, CircPad.items_kernel, CircPad.wide_kernel],
    ids=["narrow", "items", "wide"],
)
def test_kernels_on_a_cpu(kernel, monkeypatch):
    monkeypatch.setattr(CircPad, "kernel", kernel)
    for case in CASES.values():
        for dtype in CircPad.types["T"] if case.name == "image" else CircPad.types["T"][:1]:
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
