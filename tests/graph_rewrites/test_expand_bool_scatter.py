import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_bool_scatter import ExpandBoolScatter
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import i64, node_model

FEEDS = {
    "data": np.array([True, True, False, False]),
    "indices": i64(0, 2, 2, 3)[:, None],
    "updates": np.array([False, True, False, False]),
}


def scatter(reduction):
    return node_model("ScatterND", FEEDS, opset=18, reduction=reduction)


@pytest.mark.parametrize("reduction", ["add", "max"])
def test_what_one_is_true_of_is_true(reduction):
    (got,) = outputs_of(ExpandBoolScatter, scatter(reduction), FEEDS)
    assert got.tolist() == [True, True, True, False]


@pytest.mark.parametrize("reduction", ["mul", "min"])
def test_what_all_are_true_of_is_true(reduction):
    (got,) = outputs_of(ExpandBoolScatter, scatter(reduction), FEEDS)
    assert got.tolist() == [False, True, False, False]


def test_what_has_no_reduction_is_left():
    assert "it has no reduction" in reason_against(ExpandBoolScatter, scatter("none"))


def test_more_indices_than_elements_keep_the_last_update():
    feeds = {
        "data": np.array([[True, False, True], [False, False, True]]),
        "indices": i64(0, 2, 0, 1, 2, 1, 0, 1).reshape(2, 4),
        "updates": np.array([[True, False, False, True], [True, False, True, True]]),
    }
    model = node_model("ScatterElements", feeds, opset=18, axis=1)
    (got,) = outputs_of(ExpandBoolScatter, model, feeds)
    assert got.tolist() == [[False, True, False], [True, True, True]]


@pytest.mark.parametrize("op", ["ScatterElements", "ScatterND"])
def test_no_more_indices_than_elements_are_left(op):
    indices = i64(0, 0, 1, 1).reshape(2, 2) if op == "ScatterElements" else i64(0, 0, 1)[:, None]
    shape = (2, 2) if op == "ScatterElements" else (3, 2)
    feeds = {"data": np.zeros((2, 2), bool), "indices": indices, "updates": np.ones(shape, bool)}
    model = node_model(op, feeds, opset=18)
    assert "it has no reduction" in reason_against(ExpandBoolScatter, model)
