import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_compress import ExpandCompress
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import outputs_of
from tests.graph_rewrites.samples import node_model


@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("condition", [[True], [False, True, True], [False, False]])
@pytest.mark.parametrize("stored", [["c"], []], ids=["stored", "computed"])
def test_it_gives_what_numpy_gives(axis, condition, stored):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    mask = np.array(condition)
    options = {} if axis is None else {"axis": axis}
    model = node_model("Compress", {"x": x, "c": mask}, stored=stored, **options)
    feeds = {"x": x} if stored else {"x": x, "c": mask}
    (got,) = outputs_of(ExpandCompress, model, feeds)
    np.testing.assert_array_equal(got, np.compress(mask, x, axis))


@pytest.mark.parametrize("stored", [["c"], []], ids=["stored", "computed"])
def test_a_condition_that_is_no_vector_is_flattened(stored):
    """ONNX Runtime takes it, though ONNX asks for a vector."""
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    mask = x % 5 < 2
    feeds = {"x": x} if stored else {"x": x, "c": mask}
    model = node_model("Compress", {"x": x, "c": mask}, stored=stored)
    (got,) = outputs_of(ExpandCompress, model, feeds)
    np.testing.assert_array_equal(got, x[mask])
    np.testing.assert_array_equal(got, run_onnxruntime(model, feeds)["y"])
