import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_one_hot import ExpandOneHot
from tests.graph_rewrites.rewriting import outputs_of, reason_against, run
from tests.graph_rewrites.samples import f32, node_model

INDICES = np.array([[0, -1, 3], [2, -4, 1], [4, -5, 0]])


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("depth", [np.array(4), np.array([4])], ids=["scalar", "vector"])
def test_depths_that_the_model_computes(depth, axis):
    inputs = {"indices": INDICES, "depth": depth, "values": f32(0, 1)}
    dims = {"indices": ("n", 3)}
    model = node_model("OneHot", inputs, dims=dims, ranks={"y": 3}, axis=axis)
    (got,), (expected,) = outputs_of(ExpandOneHot, model, inputs), run(model, inputs)
    np.testing.assert_array_equal(got, expected)


def test_stored_depths_are_left():
    inputs = {"indices": INDICES, "depth": np.array(4), "values": f32(0, 1)}
    model = node_model("OneHot", inputs, stored=["depth"])
    assert reason_against(ExpandOneHot, model) == "TensorRT takes it: its depth is known"
