"""Run some nodes of a graph on drawn values, to find out what they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import onnx
import onnx.helper

from pluginkit.graph_rewrites._upstream import Upstream

Array = npt.NDArray[Any]
#: That of the models that run: the first one with every type of a tensor in use.
_IR_VERSION = 10


def computed(wanted: Sequence[str], given: Mapping[str, Array], up: Upstream) -> list[Array] | None:
    """Return values that follow from the given ones; None if they need others, or nothing runs.

    Args:
        wanted: the names of values of the graph.
        given: values of others. The nodes above them do not run.
        up: the graph.
    """
    positions: set[int] = set()
    stored: dict[str, onnx.TensorProto] = {}
    names = list(wanted)
    while names:
        name = names.pop()
        if not name or name in given or name in stored:
            continue
        tensor, position = up.index.constant(name), up.index.producers.get(name)
        if tensor is not None and up.stored(name) is not None:
            stored[name] = onnx.TensorProto()
            stored[name].CopyFrom(tensor)
            stored[name].name = name
        elif position is None:
            return None
        elif position not in positions:
            positions.add(position)
            names += up.index.nodes[position].input
    nodes = [up.index.nodes[at] for at in sorted(positions)]
    model = up.graphs.model
    return run_nodes(nodes, wanted, given, list(stored.values()), model.opset_import)


def run_nodes(
    nodes: Sequence[onnx.NodeProto],
    wanted: Sequence[str],
    given: Mapping[str, Array],
    stored: Sequence[onnx.TensorProto],
    opsets: Sequence[onnx.OperatorSetIdProto],
) -> list[Array] | None:
    """Return values that nodes compute in ONNX Runtime; None if it does not run them.

    Args:
        nodes: the nodes, in an order in which they can run.
        wanted: the names of the values.
        given: what the nodes read.
        stored: what they read, too.
        opsets: the versions of their operators.
    """
    import onnxruntime

    inputs = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in given.items()
    ]
    outputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in wanted]
    graph = onnx.helper.make_graph(list(nodes), "trial", inputs, outputs, list(stored))
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return list(session.run(list(wanted), given))
    except Exception:  # whatever it raises for what it does not take
        return None
