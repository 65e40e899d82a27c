import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.graph_rewrites.store_top_k import StoreTopK
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run


def argsort_of_argsort(size, axis=-1, opset=18):
    """Sort by a whole axis, then sort the places, as exporters write ranks."""

    def sort(x, values, places, name):
        return [
            helper.make_node("Shape", [x], [f"{name}s"]),
            helper.make_node("Gather", [f"{name}s", "axis"], [f"{name}k"]),
            helper.make_node("TopK", [x, f"{name}k"], [values, places], name, axis=axis),
        ]

    nodes = [*sort("x", "v", "i", "first"), *sort("i", "y", "z", "second")]
    shape = [2, size] if axis in (-1, 1) else [size, 2]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(n, TensorProto.INT64, [None, None]) for n in ("y", "z")],
        [numpy_helper.from_array(np.array([axis]), "axis")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_a_full_sort_of_a_known_size_needs_no_plugin(axis, opset):
    model = argsort_of_argsort(300, axis, opset)
    result = rewrite_model(model, find_rewrites(), RewriteChoice(skip=["FoldKnown"]))
    assert [each.rewrite for each in result.applied] == ["StoreTopK"] * 2
    x = np.random.default_rng(0).permutation(600).astype(np.float32).reshape(-1, 300)
    x = x if axis else x.T.copy()
    places = np.argsort(-x, axis)
    np.testing.assert_array_equal(run(result.model, {"x": x})[1], np.argsort(-places, axis))
    for one, other in zip(run(result.model, {"x": x}), run(model, {"x": x}), strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_that_is_too_large_for_tensorrt_becomes_a_plugin():
    result = rewrite_model(argsort_of_argsort(3841), find_rewrites())
    assert "ReplaceTopK" in {each.rewrite for each in result.applied}


def test_an_unknown_size_is_left():
    result = rewrite_model(argsort_of_argsort("n"), [StoreTopK])
    assert {each.reason for each in result.refused} == {
        "its k does not follow from shapes that are known"
    }
