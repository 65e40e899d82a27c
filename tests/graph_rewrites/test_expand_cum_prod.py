import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_cum_prod import ExpandCumProd
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model, normal


def model_of(x, axis, stored=("axis",), **attributes):
    inputs = {"x": x, "axis": np.array(axis)}
    return node_model("CumProd", inputs, stored=stored, opset=26, **attributes)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_products_are_numpys(axis, reverse, exclusive, dtype):
    x = (normal(3, 4, 5) * 3).astype(dtype)
    model = model_of(x, axis, reverse=reverse, exclusive=exclusive)
    (got,) = outputs_of(ExpandCumProd, model, {"x": x})
    expected = np.flip(x, axis) if reverse else x
    expected = np.cumprod(expected, axis)
    if exclusive:
        ones = np.ones_like(np.take(expected, [0], axis))
        kept = np.delete(expected, expected.shape[axis] - 1, axis)
        expected = np.concatenate([ones, kept], axis)
    expected = np.flip(expected, axis) if reverse else expected
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_zero_comes_before_what_would_overflow():
    x = np.array([0, 1e30, 1e30], np.float32)
    (got,) = outputs_of(ExpandCumProd, model_of(x, 0), {"x": x})
    np.testing.assert_array_equal(got, [0, 0, 0])


def test_an_axis_that_is_computed_is_left():
    model = model_of(normal(3), 0, stored=())
    assert reason_against(ExpandCumProd, model) == "its axis is not stored in the model"
