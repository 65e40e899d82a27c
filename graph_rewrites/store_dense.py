"""Store every element of sparse tensors, of which TensorRT takes none."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, Scope, is_op, place_of

if TYPE_CHECKING:
    import numpy.typing as npt

#: Tensors with more elements are left, since they may not fit a model's file.
_MOST_ELEMENTS = 2**28


class StoreDense(GraphRewrite):
    """Constant(sparse_value), sparse initializer -> Constant(value), initializer.

    TensorRT's parser refuses the first, and reads the second as an input that is not there.
    """

    pattern = Op("Constant")
    order = -5

    def may_change(self, graphs: Graphs) -> bool:
        return True  # a sparse initializer has no operator

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        graph = scope.graph
        stored = graph.sparse_initializer if isinstance(graph, onnx.GraphProto) else ()
        for at, sparse in reversed(list(enumerate(stored))):
            if _is_readable(sparse):
                name = sparse.values.name
                graph.initializer.append(onnx.numpy_helper.from_array(_dense(sparse), name))
                del graph.sparse_initializer[at]
                yield (scope.path, name, name), ("Constant",)
        for node in graph.node:
            attribute = node.attribute[0] if is_op(node, "Constant") and node.attribute else None
            if attribute is None or not attribute.HasField("sparse_tensor"):
                continue
            if _is_readable(attribute.sparse_tensor):
                tensor = onnx.numpy_helper.from_array(_dense(attribute.sparse_tensor))
                attribute.CopyFrom(onnx.helper.make_attribute("value", tensor))
                yield place_of(scope, node), ("Constant",)


def _is_readable(sparse: onnx.SparseTensorProto) -> bool:
    """Whether the tensor is not too large, and its parts are in the model's file."""
    parts = (sparse.values, sparse.indices)
    is_here = all(part.data_location != onnx.TensorProto.EXTERNAL for part in parts)
    return is_here and prod(sparse.dims) <= _MOST_ELEMENTS


def _dense(sparse: onnx.SparseTensorProto) -> npt.NDArray[Any]:
    """Return all elements; the indices count elements, or have a column for each axis."""
    values, indices = map(onnx.numpy_helper.to_array, (sparse.values, sparse.indices))
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    places = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), dense.shape)
    dense.reshape(-1)[places] = values
    return dense
