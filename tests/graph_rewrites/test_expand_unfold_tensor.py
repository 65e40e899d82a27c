import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_unfold_tensor import ExpandUnfoldTensor
from tests.graph_rewrites.microsoft import assert_spelled_out, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import integers, normal


@pytest.mark.parametrize(
    ("x", "dims", "attributes"),
    [
        (normal(3, 8), ("n", 8), {"size": 3, "step": 2}),
        (normal(2, 9, 3), (2, 9, "n"), {"size": 4, "dim": 1}),
        (integers(5, dtype=np.int64), (5,), {"size": 5, "dim": 0}),
    ],
)
def test_windows_become_the_last_axis(x, dims, attributes):
    outputs = {"y": (x.dtype.name, x.ndim + 1)}
    model = microsoft_model("UnfoldTensor", {"x": x}, outputs, dims={"x": dims}, **attributes)
    assert_spelled_out(model, {"x": x}, [ExpandUnfoldTensor])


def test_an_axis_of_unknown_size_is_left():
    outputs = {"y": ("float32", 3)}
    model = microsoft_model(
        "UnfoldTensor", {"x": normal(3, 8)}, outputs, dims={"x": (3, "n")}, size=3
    )
    assert reason_against(ExpandUnfoldTensor, model) == "the size of its axis is unknown"
