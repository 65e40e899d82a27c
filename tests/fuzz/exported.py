"""Valid models as exporters, converters and quantizers write them.

A sample of a rewrite, such as one with ONNX Runtime's own or quantized operators, is put into a
local function, a branch or a loop, and written as old or careless tools do: IR versions before 4,
initializers that are also inputs, annotations that are wrong, nodes without a name or all with the
same name. TensorRT and ONNX Runtime accept all of that.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from pluginkit.errors import PluginkitError


@dataclass
class Exported:
    """A valid model, and its inputs.

    Attributes:
        name: the sample that it is made from, and the changes.
        model: the model.
        feeds: an array for each input.
        units: by how much integers may differ.
        is_comparable: whether ONNX Runtime computes the operator as ONNX defines it.
    """

    name: str
    model: onnx.ModelProto
    feeds: dict[str, np.ndarray]
    units: int
    is_comparable: bool


Change = Callable[[random.Random, Exported], None]


@functools.cache
def _samples() -> Mapping[str, Any]:
    from tests.graph_rewrites.all_samples import ALL_SAMPLES

    return ALL_SAMPLES


@functools.cache
def _is_comparable(name: str) -> bool:
    """Whether ONNX Runtime computes a sample as ONNX's reference does; not so MaxUnpool."""
    from pluginkit.onnx.running.run_model import run_onnxruntime

    sample = _samples()[name]
    try:
        got = run_onnxruntime(sample.model, sample.feeds).values()
    except PluginkitError:
        return False
    near = {"rtol": 1e-2, "atol": max(1e-2, sample.units), "equal_nan": True}
    pairs = zip(got, sample.expected(), strict=True)
    return all(np.allclose(a.astype(np.float64), b.astype(np.float64), **near) for a, b in pairs)


def draw(rng: random.Random) -> Exported:
    """Return a valid model with one to four peculiarities."""
    name = rng.choice(sorted(_samples()))
    sample = _samples()[name]
    model = onnx.ModelProto()
    model.CopyFrom(sample.model)
    made = Exported(name, model, dict(sample.feeds), sample.units, _is_comparable(name))
    if rng.random() < 0.7:
        _apply(rng, made, rng.choice(PLACES))
    for change in rng.sample(CHANGES, rng.choice([1, 1, 2, 3])):
        _apply(rng, made, change)
    return made


def _apply(rng: random.Random, made: Exported, change: Change) -> None:
    change(rng, made)
    made.name += f" {change.__name__.strip('_')}"


def _renamed(nodes: Sequence[onnx.NodeProto], prefix: str) -> list[onnx.NodeProto]:
    """Return copies with other names of outputs, which can be in one graph with the originals."""
    own = {name for node in nodes for name in node.output if name}
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for names in (copy.input, copy.output):
            names[:] = [prefix + name if name in own else name for name in names]
        copies.append(copy)
    return copies


def _body(made: Exported, prefix: str, first: Sequence[onnx.NodeProto] = ()) -> onnx.GraphProto:
    graph = made.model.graph
    outputs = []
    for value in graph.output:
        output = onnx.ValueInfoProto()
        output.CopyFrom(value)
        output.name = prefix + value.name
        outputs.append(output)
    return helper.make_graph([*first, *_renamed(graph.node, prefix)], "body", [], outputs)


def _in_branches(rng: random.Random, made: Exported) -> None:
    """Put the nodes into both branches of an If."""
    branches = {f"{name}_branch": _body(made, f"{name}_") for name in ("then", "else")}
    graph = made.model.graph
    node = helper.make_node("If", ["chosen"], [v.name for v in graph.output], "if", **branches)
    del graph.node[:]
    graph.node.append(node)
    if rng.random() < 0.5:
        graph.input.append(helper.make_tensor_value_info("chosen", TensorProto.BOOL, []))
        made.feeds["chosen"] = np.array(rng.random() < 0.5)
    else:
        graph.initializer.append(helper.make_tensor("chosen", TensorProto.BOOL, [], [True]))


def _in_loop(rng: random.Random, made: Exported) -> None:
    """Put the nodes into a Loop, whose outputs are stacked; before opset 11 it carries a value."""
    if made.model.opset_import[0].version < 11:
        return
    graph = made.model.graph
    body = _body(made, "in_", [helper.make_node("Identity", ["go"], ["on"])])
    body.input.extend(
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ]
    )
    stacked = [*body.output]
    del body.output[:]
    body.output.append(helper.make_tensor_value_info("on", TensorProto.BOOL, []))
    body.output.extend(stacked)
    for value in graph.output:
        shape = value.type.tensor_type.shape
        dims = [onnx.TensorShapeProto.Dimension(), *shape.dim]
        del shape.dim[:]
        shape.dim.extend(dims)
    names = [value.name for value in graph.output]
    condition = rng.choice(["", "yes"])
    node = helper.make_node("Loop", ["count", condition], names, "loop", body=body)
    del graph.node[:]
    graph.node.append(node)
    count = helper.make_tensor("count", TensorProto.INT64, [], [rng.choice([1, 2])])
    graph.initializer.append(count)
    if condition:
        graph.initializer.append(helper.make_tensor(condition, TensorProto.BOOL, [], [True]))


def _in_function(rng: random.Random, made: Exported) -> None:
    """Put the nodes into a local function; constants are inside it, or are inputs."""
    model, graph = made.model, made.model.graph
    inputs = [value.name for value in graph.input]
    nodes = [*graph.node]
    if rng.random() < 0.5:
        inputs += [tensor.name for tensor in graph.initializer]
    else:
        stored = [
            helper.make_node("Constant", [], [tensor.name], value=tensor)
            for tensor in graph.initializer
        ]
        nodes = [*stored, *nodes]
        del graph.initializer[:]
    outputs = [value.name for value in graph.output]
    opsets = [*model.opset_import]
    model.functions.append(helper.make_function("local", "F", inputs, outputs, nodes, opsets))
    del graph.node[:]
    graph.node.append(helper.make_node("F", inputs, outputs, "call", domain="local"))
    model.opset_import.append(helper.make_opsetid("local", 1))


def _behind_casts(rng: random.Random, made: Exported) -> None:
    """Cast floats to float16 and back, but keep the old annotations, as converters do."""
    graph = made.model.graph
    floats = [v for v in graph.input if v.type.tensor_type.elem_type == TensorProto.FLOAT]
    if not floats:
        return
    value = rng.choice(floats)
    narrow, wide = f"{value.name}_f16", f"{value.name}_f32"
    for node in _nodes(graph):
        node.input[:] = [wide if name == value.name else name for name in node.input]
    for at, (source, made_name, to) in enumerate(
        [(value.name, narrow, TensorProto.FLOAT16), (narrow, wide, TensorProto.FLOAT)]
    ):
        graph.node.insert(at, helper.make_node("Cast", [source], [made_name], made_name, to=to))
    wrong = graph.value_info.add(name=wide)
    wrong.type.CopyFrom(value.type)


def _old_ir(rng: random.Random, made: Exported) -> None:
    """Choose an IR version from 3 to 11; before 4 every initializer is also an input."""
    model, graph = made.model, made.model.graph
    model.ir_version = rng.choice([8, 9, 10, 11] if model.functions else range(3, 12))
    if model.ir_version >= 4 and rng.random() < 0.5:
        return
    known = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if tensor.name not in known:
            graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )


def _followed(rng: random.Random, made: Exported) -> None:
    """Append Identities to the outputs, so that the graph has inner values."""
    graph = made.model.graph
    for value in graph.output:
        inner = f"{value.name}_inner"
        for node in graph.node:
            for names in (node.input, node.output):
                names[:] = [inner if name == value.name else name for name in names]
        graph.node.append(helper.make_node("Identity", [inner], [value.name], f"{inner}_id"))
        annotated = graph.value_info.add(name=inner)
        annotated.type.CopyFrom(value.type)


def _stale(rng: random.Random, made: Exported) -> None:
    """Annotate inner values with wrong sizes."""
    _followed(rng, made)
    for value in made.model.graph.value_info:
        for dim in value.type.tensor_type.shape.dim:
            if rng.random() < 0.5:
                dim.dim_value = rng.choice([1, 2, 3, 17])


def _shapeless(rng: random.Random, made: Exported) -> None:
    """Remove the shapes of outputs and inner values."""
    values = [*made.model.graph.output, *made.model.graph.value_info]
    for value in rng.sample(values, rng.randint(1, len(values))):
        value.type.tensor_type.ClearField("shape")


def _minus_one(rng: random.Random, made: Exported) -> None:
    """Write unknown sizes as -1."""
    graph = made.model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        stored = {tensor.name for tensor in graph.initializer}
        for dim in value.type.tensor_type.shape.dim:
            if value.name not in stored and rng.random() < 0.4:
                dim.dim_value = -1


def _nodes(*graphs: Any) -> list[onnx.NodeProto]:
    """Yield the nodes of graphs and of their bodies."""
    found = [node for graph in graphs for node in graph.node]
    for node in found:
        found += [inner for one in node.attribute if one.HasField("g") for inner in one.g.node]
    return found


def _unnamed(rng: random.Random, made: Exported) -> None:
    for node in _nodes(made.model.graph, *made.model.functions):
        node.name = ""


def _one_name(rng: random.Random, made: Exported) -> None:
    for node in _nodes(made.model.graph, *made.model.functions):
        node.name = "node"


PLACES: list[Change] = [_in_branches, _in_loop, _in_function]
CHANGES: list[Change] = [
    _old_ir, _old_ir, _stale, _shapeless, _minus_one, _unnamed, _one_name, _behind_casts,
]  # fmt: skip
