"""Sparse tensors are stored with all their elements."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pluginkit.graph_rewrites import store_dense
from pluginkit.graph_rewrites.store_dense import StoreDense
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import outputs_of

X = np.ones((2, 3), np.float32)
DENSE = np.array([[0, 5, 0], [0, 0, 7]], np.float32)
INDICES = {"linear": [1, 5], "by axis": [[0, 1], [1, 2]]}


def sparse(indices: list, name: str = "w") -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.array([5, 7], np.float32), name)
    places = numpy_helper.from_array(np.array(indices, np.int64), "places")
    return helper.make_sparse_tensor(values, places, [2, 3])


def with_initializer(indices: list) -> onnx.ModelProto:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 18]> g (float[2,3] x, bool c) => (float[2,3] y) {
        y = If(c) <then_branch = a () => (float[2,3] t) { t = Add(x, w) },
                   else_branch = b () => (float[2,3] u) { u = Neg(x) }> }"""
    )
    model.graph.node[0].attribute[0].g.sparse_initializer.append(sparse(indices))
    return model


def with_constant(indices: list) -> onnx.ModelProto:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 18]> g (float[2,3] x) => (float[2,3] y) {
        w = Constant() y = Add(x, w) }"""
    )
    attribute = helper.make_attribute("sparse_value", sparse(indices))
    model.graph.node[0].attribute.append(attribute)
    return model


@pytest.mark.parametrize("indices", INDICES.values(), ids=INDICES)
@pytest.mark.parametrize("make", [with_initializer, with_constant])
def test_all_elements_are_stored(make, indices):
    model = make(indices)
    feeds = {"x": X} | ({"c": np.array(True)} if make is with_initializer else {})
    np.testing.assert_array_equal(outputs_of(StoreDense, model, feeds)[0], X + DENSE)
    again = rewrite_model(rewrite_model(model, [StoreDense]).model, [StoreDense])
    assert again.applied == []


@pytest.mark.parametrize("make", [with_initializer, with_constant])
def test_what_is_too_large_for_a_file_is_left(make, monkeypatch):
    monkeypatch.setattr(store_dense, "_MOST_ELEMENTS", 5)
    assert rewrite_model(make([1, 5]), [StoreDense]).applied == []
