import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_elu import ExpandElu
from tests.graph_rewrites.rewriting import outputs_of, reason_against, run
from tests.graph_rewrites.samples import node_model, normal


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("attributes", [{}, {"alpha": 0.3}])
def test_elu_of_signals(attributes, dtype):
    x = (normal(2, 3, 40) * 4).astype(dtype)
    x[0, 0, :4] = [np.inf, -np.inf, 0, np.nan]
    model = node_model("Elu", {"x": x}, dims={"x": ("n", 3, "length")}, **attributes)
    (got,) = outputs_of(ExpandElu, model, {"x": x})
    (expected,) = run(model, {"x": x})
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=1e-3 if dtype == np.float16 else 1e-6, atol=1e-6)


def test_elu_of_images_is_left():
    model = node_model("Elu", {"x": normal(1, 2, 3, 4)})
    reason = "TensorRT takes it: its input is not known to have three axes"
    assert reason_against(ExpandElu, model) == reason
