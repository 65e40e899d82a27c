"""Find loops of whose runs TensorRT knows no greatest number."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.numpy_helper

from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import bodies
from pluginkit.onnx.rewriting.graph_index import GraphIndex


def collects_without_limit(index: GraphIndex, node: onnx.NodeProto) -> bool:
    """Whether a Loop collects a value of each run, and only its condition ends it."""
    carried, limit = len(node.input) - 2, node.input[0]
    if all(len(body.output) - 1 <= carried for _, body in bodies(node)):
        return False
    stored = index.constant(limit) if limit else None
    if stored is None or is_external(stored):
        return not limit
    return bool((onnx.numpy_helper.to_array(stored) == np.iinfo(np.int64).max).all())
