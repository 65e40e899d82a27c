"""Run a model node by node: in ONNX Runtime without its optimizer, or in onnx's reference.

ONNX Runtime lacks many operators on small integers, and onnx's evaluator of whole models lacks some
forms of loops. Branches and bodies are run in Python.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Arrays = dict[str, np.ndarray]


def run_in_onnxruntime(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Run a whole model with ONNX Runtime's optimizer off."""
    return [np.asarray(each) for each in _session(model.SerializeToString()).run(None, dict(feeds))]


def run_node_by_node(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Run a model of ONNX's own operators without functions."""
    opset = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    with np.errstate(all="ignore"):
        return _run_graph(model.graph, dict(feeds), opset)


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _run_graph(graph: onnx.GraphProto, known: Arrays, opset: int) -> list[np.ndarray]:
    known = known | {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    for node in graph.node:
        bodies = {each.name: each.g for each in node.attribute if each.HasField("g")}
        if bodies:
            outputs = _FLOW[node.op_type](node, bodies, known, opset)
        else:
            inputs = [known[name] if name else None for name in node.input]
            types = tuple(None if each is None else each.dtype for each in inputs)
            run = _runner(node.SerializeToString(), types, opset)
            given = {
                name: np.asarray(each)
                for name, each in zip(node.input, inputs, strict=True)
                if name
            }
            outputs = [np.asarray(each) for each in run.run(None, given)]
        known.update(zip(node.output, outputs, strict=True))
    return [known[value.name] for value in graph.output]


def _if(
    node: onnx.NodeProto, bodies: Mapping[str, onnx.GraphProto], known: Arrays, opset: int
) -> list[np.ndarray]:
    name = "then_branch" if known[node.input[0]].item() else "else_branch"
    return _run_graph(bodies[name], known, opset)


def _loop(
    node: onnx.NodeProto, bodies: Mapping[str, onnx.GraphProto], known: Arrays, opset: int
) -> list[np.ndarray]:
    body = bodies["body"]
    names = [value.name for value in body.input]
    trips = int(known[node.input[0]].item()) if node.input[0] else 2**62
    go = bool(known[node.input[1]].item()) if node.input[1] else True
    state = [known[name] for name in node.input[2:]]
    scans: list[list[np.ndarray]] = [[] for _ in body.output[1 + len(state) :]]
    step = 0
    while step < trips and go:
        values = [np.int64(step), np.array(go), *state]
        made = _run_graph(
            body, known | dict(zip(names, map(np.asarray, values), strict=True)), opset
        )
        go, state = bool(made[0].item()), made[1 : 1 + len(state)]
        for scan, one in zip(scans, made[1 + len(state) :], strict=True):
            scan.append(one)
        step += 1
    return [*state, *map(np.stack, scans)]


def _scan(
    node: onnx.NodeProto, bodies: Mapping[str, onnx.GraphProto], known: Arrays, opset: int
) -> list[np.ndarray]:
    body = bodies["body"]
    names = [value.name for value in body.input]
    (count,) = (each.i for each in node.attribute if each.name == "num_scan_inputs")
    given = [known[name] for name in node.input]
    state, scanned = given[: len(given) - count], given[len(given) - count :]
    scans: list[list[np.ndarray]] = [[] for _ in body.output[len(state) :]]
    for rows in zip(*scanned, strict=True):
        made = _run_graph(body, known | dict(zip(names, [*state, *rows], strict=True)), opset)
        state = made[: len(state)]
        for scan, one in zip(scans, made[len(state) :], strict=True):
            scan.append(one)
    return [*state, *map(np.stack, scans)]


_FLOW = {"If": _if, "Loop": _loop, "Scan": _scan}


@functools.lru_cache(maxsize=4096)
def _runner(
    node: bytes, dtypes: tuple[np.dtype | None, ...], opset: int
) -> onnxruntime.InferenceSession | ReferenceEvaluator:
    proto = onnx.NodeProto.FromString(node)
    inputs = {
        name: helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), None)
        for name, dtype in zip(proto.input, dtypes, strict=True)
        if dtype is not None
    }
    outputs = [onnx.ValueInfoProto(name=name) for name in proto.output]
    graph = helper.make_graph([proto], "g", list(inputs.values()), outputs)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    try:
        return _session(model.SerializeToString())
    except Exception as error:
        if "NOT_IMPLEMENTED" not in str(error):
            raise
    return ReferenceEvaluator(model)
