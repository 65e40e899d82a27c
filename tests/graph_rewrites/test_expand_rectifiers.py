import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_rectifiers import ExpandPRelu, ExpandRelu
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import outputs_of
from tests.graph_rewrites.samples import node_model

X = np.array([[-7, 0, 3], [-(2**31), 2**31 - 1, -1]])


def test_relu_keeps_what_is_positive():
    x = X.astype(np.int32)
    (got,) = outputs_of(ExpandRelu, node_model("Relu", {"x": x}), {"x": x})
    np.testing.assert_array_equal(got, np.array([[0, 0, 3], [0, 2**31 - 1, 0]], np.int32))
    assert got.dtype == np.int32


def test_prelu_multiplies_what_is_negative():
    slope = np.array([2, 3, 4])
    model = node_model("PRelu", {"x": X, "slope": slope}, stored=["slope"])
    (got,) = outputs_of(ExpandPRelu, model, {"x": X})
    np.testing.assert_array_equal(got, [[-14, 0, 3], [-(2**32), 2**31 - 1, -4]])


@pytest.mark.parametrize("rewrite", [ExpandRelu, ExpandPRelu])
def test_floats_are_not_even_looked_at(rewrite):
    x = np.ones(3, np.float32)
    inputs = {"x": x, "slope": x} if rewrite is ExpandPRelu else {"x": x}
    result = rewrite_model(node_model(rewrite.__name__.removeprefix("Expand"), inputs), [rewrite])
    assert (result.applied, result.refused) == ([], [])
