import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_tensor_scatter import ExpandTensorScatter
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model, normal


def scattered(cache, update, at, axis, is_circular):
    expected = np.moveaxis(cache.copy(), axis, 1)
    rows, length = np.moveaxis(update, axis, 1), cache.shape[axis]
    for item, start in enumerate(at):
        for number in range(rows.shape[1]):
            place = (start + number) % length if is_circular else start + number
            expected[item, place] = rows[item, number]
    return np.moveaxis(expected, 1, axis)


@pytest.mark.parametrize(
    ("shape", "axis", "mode"),
    [((3, 6, 4), -2, "linear"), ((3, 4, 6), 2, "linear"), ((3, 2, 6, 4), -2, "circular")],
    ids=str,
)
@pytest.mark.parametrize("has_places", [True, False])
def test_the_update_is_where_it_belongs(shape, axis, mode, has_places):
    sizes = list(shape)
    sizes[axis] = 2
    cache, update = normal(*shape), normal(*sizes)
    at = np.array([0, 3, 5 if mode == "circular" else 4]) if has_places else None
    inputs = {"cache": cache, "update": update, "at": at}
    model = node_model("TensorScatter", inputs, opset=24, axis=axis, mode=mode)
    feeds = {name: array for name, array in inputs.items() if array is not None}
    (got,) = outputs_of(ExpandTensorScatter, model, feeds)
    starts = np.zeros(3, np.int64) if at is None else at
    expected = scattered(cache, update, starts, axis, mode == "circular")
    np.testing.assert_array_equal(got, expected)


def test_what_tensorrt_takes_is_left():
    inputs = {"cache": normal(1, 2, 6, 4), "update": normal(1, 2, 2, 4), "at": np.array([1])}
    reason = reason_against(ExpandTensorScatter, node_model("TensorScatter", inputs, opset=24))
    assert reason == "TensorRT takes it: its cache has four axes, and is linear"


def test_a_cache_of_one_axis_is_left():
    inputs = {"cache": normal(4), "update": normal(2)}
    model = node_model("TensorScatter", inputs, opset=24, axis=0, ranks={"y": 1})
    reason = reason_against(ExpandTensorScatter, model)
    assert reason == "its cache has no axis beside the batch's"
