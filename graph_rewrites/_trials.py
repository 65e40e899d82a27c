"""Run some nodes of a graph on drawn values, to find out what they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import onnx
import onnx.helper

from pluginkit.graph_rewrites._upstream import Upstream

Array = npt.NDArray[Any]


def computed(wanted: Sequence[str], given: Mapping[str, Array], up: Upstream) -> list[Array] | None:
    """Return values that follow from the given ones; None if they need others, or nothing runs.

    Args:
        wanted: the names of values of the graph.
        given: values of others, float32. The nodes above them do not run.
        up: the graph.
    """
    import onnxruntime

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
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape)
        for name, array in given.items()
    ]
    graph = onnx.helper.make_graph(
        [up.index.nodes[at] for at in sorted(positions)],
        "trial",
        inputs,
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in wanted],
        list(stored.values()),
    )
    model = onnx.helper.make_model(
        graph, opset_imports=up.graphs.model.opset_import, ir_version=up.graphs.model.ir_version
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return list(session.run(list(wanted), given))
    except Exception:  # whatever it raises for what it does not take
        return None
