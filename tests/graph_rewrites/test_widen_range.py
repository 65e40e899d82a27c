import numpy as np
import pytest

from pluginkit.graph_rewrites.widen_range import WidenRange
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model


def model(dtype):
    inputs = {name: np.zeros((), dtype) for name in ("start", "limit", "step")}
    return node_model("Range", inputs, ranks={"y": 1})


@pytest.mark.parametrize("bounds", [(0.5, 3, 0.75), (4, -1, -2), (1, 1, 1)])
def test_it_counts_as_numpy_does(bounds):
    feeds = dict(zip(("start", "limit", "step"), np.array(bounds, np.float16), strict=True))
    (got,) = outputs_of(WidenRange, model(np.float16), feeds)
    expected = np.arange(*bounds).astype(np.float16)
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, expected)


def test_float32_is_left():
    assert "float32" in reason_against(WidenRange, model(np.float32))
