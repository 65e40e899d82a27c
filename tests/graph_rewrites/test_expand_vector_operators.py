import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_integer_einsum import (
    ExpandIntegerEinsum,
    ExpandIntegerMatMul,
)
from pluginkit.graph_rewrites.expand_vector_operators import ExpandVectorOperator
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import outputs_of, reason_against, run
from tests.graph_rewrites.samples import integers, node_model, normal

X = np.array([0.5, 2, -1, 2, 0], np.float32)


@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.parametrize(
    ("op_type", "attributes"),
    [
        ("Softmax", {"axis": 0}),
        ("LogSoftmax", {"axis": 0}),
        ("Hardmax", {"axis": 0}),
        ("ArgMax", {}),
        ("ArgMax", {"keepdims": 0}),
        ("ArgMin", {"keepdims": 1}),
    ],
)
def test_vectors_get_a_second_axis(op_type, attributes, opset):
    model = node_model(op_type, {"x": X}, opset=opset, dims={"x": ("n",)}, **attributes)
    (got,) = outputs_of(ExpandVectorOperator, model, {"x": X})
    (expected,) = run(model, {"x": X})
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_the_last_of_equal_elements():
    model = node_model("ArgMax", {"x": X}, select_last_index=1)
    (got,) = outputs_of(ExpandVectorOperator, model, {"x": X})
    assert got.tolist() == [3]


def test_matrices_are_left():
    reason = "TensorRT takes it: its input is no vector"
    model = node_model("Softmax", {"x": normal(2, 3)})
    assert reason_against(ExpandVectorOperator, model) == reason


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bi,bj->bij", [(2, 4), (2, 5)]),
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("ij,jk", [(3, 4), (4, 5)]),
        ("ij->ji", [(3, 4)]),
        ("ij->", [(3, 4)]),
        ("b i j, j k, k b -> i b", [(2, 3, 4), (4, 5), (5, 2)]),
        ("ca,b->abc", [(3, 2), (4,)]),
    ],
)
def test_integers_are_multiplied_and_added(equation, shapes, dtype):
    inputs = {
        name: integers(*shape, dtype=dtype, low=-9, high=9)
        for name, shape in zip("abc", shapes, strict=False)
    }
    model = node_model("Einsum", inputs, equation=equation, ranks={"y": 0})
    (got,) = outputs_of(ExpandIntegerEinsum, model, inputs)
    np.testing.assert_array_equal(got, np.einsum(equation, *inputs.values()))
    assert got.dtype == dtype


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    "shapes",
    [((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((5, 1, 2, 3), (6, 3, 4))],
)
def test_matrices_of_integers_are_multiplied(shapes, dtype):
    inputs = {
        name: integers(*shape, dtype=dtype, low=-9, high=9)
        for name, shape in zip("ab", shapes, strict=True)
    }
    inputs["a"].flat[0] = 2**26 + 1  # float32 does not hold it
    (got,) = outputs_of(ExpandIntegerMatMul, node_model("MatMul", inputs), inputs)
    np.testing.assert_array_equal(got, inputs["a"] @ inputs["b"])
    assert got.dtype == dtype


def test_a_product_of_floats_is_not_looked_at():
    model = node_model("MatMul", {"a": normal(2, 3), "b": normal(3, 4)})
    assert rewrite_model(model, [ExpandIntegerMatMul]).refused == []


def test_other_equations_and_types_are_left():
    inputs = {"a": integers(3, 3, dtype=np.int64)}
    model = node_model("Einsum", inputs, equation="ii->i")
    reason = "its equation has an ellipsis, or a letter twice in one factor"
    assert reason_against(ExpandIntegerEinsum, model) == reason
    model = node_model("Einsum", {"a": normal(3, 3)}, equation="ij->ji")
    reason = "TensorRT takes it: it is of floating-point numbers"
    assert reason_against(ExpandIntegerEinsum, model) == reason
