import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_det import ExpandDet
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model, normal


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
def test_determinants_are_numpys(size, batch):
    x = normal(*batch, size, size)
    (got,) = outputs_of(ExpandDet, node_model("Det", {"x": x}), {"x": x})
    np.testing.assert_allclose(got, np.linalg.det(x.astype(np.float64)), rtol=1e-5, atol=1e-5)


def test_larger_matrices_are_left():
    reason = "its matrices are larger than 4 x 4, or of unknown size"
    assert reason_against(ExpandDet, node_model("Det", {"x": normal(5, 5)})) == reason
    model = node_model("Det", {"x": normal(2, 3, 3)}, dims={"x": [2, "n", "n"]})
    assert reason_against(ExpandDet, model) == reason
