"""Find the graph inputs that hold indices, and the limits of these indices.

The values of integer inputs are followed, through operators that pass them on unchanged, to the
nodes that read indices. A run with every index zero then tells the sizes that limit them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
import onnx.helper

from pluginkit.errors import ModelError
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.value_types import dims_of
from pluginkit.onnx.model.graphs import bodies, defined_names, describe, is_op, scopes
from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.running.run_model import run_model

Array = npt.NDArray[Any]
Origins = frozenset[str]

#: Operators that pass values on unchanged, with the indices of the inputs that they pass on.
_CARRIERS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(
        [
            "Cast", "Compress", "Expand", "Flatten", "Gather", "GatherElements", "GatherND",
            "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile", "TopK", "Transpose",
            "Trilu", "Unique", "Unsqueeze",
        ],
        (0,),
    ),
    **dict.fromkeys(["ScatterElements", "Scatter", "ScatterND"], (0, 2)),
    "Where": (1, 2),
}  # fmt: skip
#: Operators that pass on the values of all their inputs.
_COLLECTORS = frozenset({"Concat", "Max", "Min"})
_UNKNOWN = 2**62
#: Operators that read indices: the input that holds them, and the input that they index.
_READERS = {
    "Gather": (1, 0),
    "GatherElements": (1, 0),
    "GatherND": (1, 0),
    "ScatterElements": (1, 0),
    "Scatter": (1, 0),
    "ScatterND": (1, 0),
    "OneHot": (0, 1),
    "RoiAlign": (2, 0),
}


@dataclass(frozen=True)
class IndexReader:
    """A node that reads indices.

    Attributes:
        node: the node.
        origins: the graph inputs from which the indices come.
        indices: the name of the value that holds them.
        indexed: the name of the value that they index; for OneHot the number of classes.
        is_local: whether one of the two values exists only inside a body.
    """

    node: onnx.NodeProto
    origins: Origins
    indices: str
    indexed: str
    is_local: bool


def index_readers(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> list[IndexReader]:
    """Return the nodes that read indices from integer inputs.

    Args:
        model: a model without local functions.
        nodes: the nodes of its main graph, in topological order.
    """
    integers = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    stored = {
        tensor.name for tensor in model.graph.initializer
    }  # before IR 4 these are graph inputs too
    known = {
        value.name: frozenset({value.name})
        for value in model.graph.input
        if value.type.tensor_type.elem_type in integers and value.name not in stored
    }
    search = _OriginSearch(frozenset(defined_names(model.graph)))
    search.follow(nodes, known)
    return search.found


class _OriginSearch:
    """Follows the values of inputs through the graph and into bodies.

    Attributes:
        found: the nodes that read indices.
    """

    def __init__(self, outermost: frozenset[str]) -> None:
        self._outermost = outermost
        self.found: list[IndexReader] = []

    def follow(
        self,
        nodes: Sequence[onnx.NodeProto],
        known: Mapping[str, Origins],
        local: Origins = frozenset(),
    ) -> dict[str, Origins]:
        """Return the origins of every value that is known or that the nodes produce.

        Each node that reads indices is added to ``found``.

        Args:
            nodes: the nodes, in topological order.
            known: the origins of values from outside.
            local: the names that are defined inside a body.
        """
        env = dict(known)
        for node in nodes:
            if node.op_type in _READERS and is_op(node, node.op_type):
                self._note(node, env, local)
            for name, origins in self._outputs(node, env, local):
                if name and origins:
                    env[name] = origins
        return env

    def _note(self, node: onnx.NodeProto, env: Mapping[str, Origins], local: Origins) -> None:
        slots = _READERS[node.op_type]
        if len(node.input) <= max(slots):
            return
        indices, indexed = (node.input[slot] for slot in slots)
        if indices in env:
            is_local = not {indices, indexed} <= self._outermost or bool({indices, indexed} & local)
            self.found.append(IndexReader(node, env[indices], indices, indexed, is_local))

    def _outputs(
        self, node: onnx.NodeProto, env: Mapping[str, Origins], local: Origins
    ) -> Iterator[tuple[str, Origins]]:
        if is_op(node, "If"):
            yield from self._merge(
                node.output, [self._body(b, {}, env, local) for _, b in bodies(node)]
            )
        elif is_op(node, "Loop") or is_op(node, "Scan"):
            for _, body in bodies(node):
                yield from zip(node.output, self._iterated(node, body, env, local), strict=False)
        elif is_op(node, node.op_type):
            slots = _CARRIERS.get(node.op_type, ())
            if node.op_type in _COLLECTORS:
                slots = tuple(range(len(node.input)))
            names = [node.input[slot] for slot in slots if slot < len(node.input)]
            origins = _union(env.get(name, frozenset()) for name in names)
            carried = node.output[:1] if node.op_type in ("TopK", "Unique") else node.output
            yield from ((name, origins) for name in carried)

    def _body(
        self,
        body: onnx.GraphProto,
        inputs: Mapping[str, Origins],
        env: Mapping[str, Origins],
        local: Origins,
    ) -> list[Origins]:
        """Return the origins of a body's outputs."""
        own = frozenset(defined_names(body))
        outer = {name: origins for name, origins in env.items() if name not in own}
        inner = self.follow(body.node, {**outer, **inputs}, local | own)
        return [inner.get(value.name, frozenset()) for value in body.output]

    def _iterated(
        self,
        node: onnx.NodeProto,
        body: onnx.GraphProto,
        env: Mapping[str, Origins],
        local: Origins,
    ) -> list[Origins]:
        """Return the origins of a Loop's or Scan's outputs.

        The body is followed twice, because its outputs are inputs of the next iteration.
        """
        given = [env.get(name, frozenset()) for name in node.input]
        skipped = 1 if node.op_type == "Loop" else 0  # a Loop's body returns the condition first
        returned: list[Origins] = []
        noted = len(self.found)
        for _ in range(2):
            del self.found[noted:]
            names = [value.name for value in body.input]
            carried = [frozenset[str]()] * 2 + returned if skipped else returned
            carried += [frozenset()] * len(names)
            given += [frozenset()] * len(names)
            inputs = {n: g | c for n, g, c in zip(names, given, carried, strict=False) if g | c}
            returned = self._body(body, inputs, env, local)[skipped:]
        return returned

    @staticmethod
    def _merge(
        names: Sequence[str], branches: Sequence[list[Origins]]
    ) -> Iterator[tuple[str, Origins]]:
        for index, name in enumerate(names):
            yield name, _union(branch[index] for branch in branches if index < len(branch))


def _union(each: Iterator[Origins]) -> Origins:
    return frozenset().union(*each)


def index_limits(
    model: onnx.ModelProto,
    folder: Path,
    readers: Sequence[IndexReader],
    inputs: Mapping[str, Array],
    plugins: Plugins,
) -> dict[str, int]:
    """Return for each input that holds indices the number below which they must stay.

    Args:
        model: the model, without local functions.
        folder: the folder of its external data.
        readers: the result of :func:`index_readers`.
        inputs: an array for each graph input; those that hold indices are zero.
        plugins: the plugins of its nodes.

    Errors:
        PK445: indices are for a value inside a body, of unknown size.  PK441: the model does not
        run.
    """
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    for number, reader in enumerate(readers):
        if reader.is_local:
            continue
        for name, value in (("indices", reader.indices), ("indexed", reader.indexed)):
            is_count = reader.node.op_type == "OneHot" and name == "indexed"
            output = f"pluginkit_{name}_{number}"
            op_type = "Identity" if is_count else "Shape"
            probe.graph.node.append(onnx.helper.make_node(op_type, [value], [output]))
            probe.graph.output.append(onnx.ValueInfoProto(name=output))
    sizes = run_model(probe, inputs, plugins, base_dir=folder)
    limits: dict[str, int] = {}
    for number, reader in enumerate(readers):
        limit = (
            _local_limit(model, reader)
            if reader.is_local
            else _limit(
                reader.node,
                sizes[f"pluginkit_indexed_{number}"].reshape(-1).tolist(),
                sizes[f"pluginkit_indices_{number}"].tolist(),
            )
        )
        for origin in reader.origins:
            limits[origin] = min(limit, limits.get(origin, limit))
    return limits


def _local_limit(model: onnx.ModelProto, reader: IndexReader) -> int:
    """Return the limit of indices for a value inside a body, whose size the model must tell."""
    types = infer_types(model)
    for scope in scopes(model):
        if reader.node not in scope.graph.node:
            continue
        dims = [dims_of(types.find(scope, each)) for each in (reader.indexed, reader.indices)]
        indexed, indices = ([dim.dim_value or _UNKNOWN for dim in each or ()] for each in dims)
        if None not in dims and reader.node.op_type != "OneHot":
            limit = _limit(reader.node, indexed, indices)
            if limit < _UNKNOWN:
                return limit
    raise ModelError(
        "PK445",
        f"indices from input '{min(reader.origins)}' are for a value of unknown size inside a "
        "body; expected a known size.",
        where=f"node {describe(reader.node)}",
        fix=f"give a range: --range {min(reader.origins)}:0,n.",
    )


def _limit(node: onnx.NodeProto, indexed: list[int], indices: list[int]) -> int:
    """Return the number below which a node's indices must stay.

    Args:
        node: the node.
        indexed: the shape of the indexed value; for OneHot the number of classes.
        indices: the shape of the indices.
    """
    attributes: dict[str, int] = {attribute.name: attribute.i for attribute in node.attribute}
    if node.op_type == "OneHot":
        return int(indexed[0])
    if node.op_type in ("GatherND", "ScatterND"):
        first = attributes.get("batch_dims", 0)
        return min(indexed[first : first + indices[-1]], default=1)
    axis = attributes.get("axis", 0)
    # A model whose axis is out of range fails later, with a proper error.
    return indexed[axis] if -len(indexed) <= axis < len(indexed) else 1
