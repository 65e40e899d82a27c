"""Find loops of whose runs TensorRT knows no greatest number, or has none at all."""

from __future__ import annotations

import numpy as np
import onnx

from pluginkit.onnx.model.graphs import bodies, names_read, output_names
from pluginkit.onnx.rewriting.graph_index import GraphIndex


def is_unlimited(
    index: GraphIndex, loop: onnx.NodeProto, least: int = np.iinfo(np.int64).max
) -> bool:
    """Whether only its condition ends a Loop: its limit is absent, or at least this number."""
    limit = loop.input[0]
    stored = index.array(limit) if limit else None
    return not limit if stored is None else bool((stored >= least).all())


def collects_without_limit(index: GraphIndex, node: onnx.NodeProto) -> bool:
    """Whether a Loop collects a value of each run, and only its condition ends it."""
    carried = len(node.input) - 2
    if all(len(body.output) - 1 <= carried for _, body in bodies(node)):
        return False
    return is_unlimited(index, node)


def reads_number(body: onnx.GraphProto) -> bool:
    """Whether a Loop's body reads the number of its run, or returns it."""
    number = body.input[0].name
    return number in output_names(body) or any(number in names_read(node) for node in body.node)
