import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_compress import ExpandCompress
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model


@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("condition", [[True], [False, True, True], [False, False]])
def test_it_gives_what_numpy_gives(axis, condition):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    mask = np.array(condition)
    options = {} if axis is None else {"axis": axis}
    model = node_model("Compress", {"x": x, "c": mask}, stored=["c"], **options)
    (got,) = outputs_of(ExpandCompress, model, {"x": x})
    np.testing.assert_array_equal(got, np.compress(mask, x, axis))


def test_a_condition_that_is_computed_is_left():
    model = node_model("Compress", {"x": np.ones((3, 4), np.float32), "c": np.ones(3, bool)})
    assert reason_against(ExpandCompress, model) == (
        "its condition is not stored in the model, so that its shape depends on data"
    )
