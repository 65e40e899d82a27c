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
