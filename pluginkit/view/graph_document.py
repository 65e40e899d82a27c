"""Describe a model as JSON for the page: scopes, cells, values, rows; no weights or long texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx

from pluginkit.errors import ModelError
from pluginkit.onnx.inference.element_types import dtype_of_elem_type
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.graphs import (
    Scope,
    bodies,
    defined_names,
    names_read,
    output_names,
    scopes,
)
from pluginkit.view.graph_layout import DrawnValue, layout_graph
from pluginkit.view.model_text import attribute_text, cut, text_of_tensor, text_of_type
from pluginkit.view.node_status import STATUSES, Verdict, Verdicts

_UNKNOWN = Verdict("unknown")


def document_from_model(
    model: onnx.ModelProto, name: str, verdicts: Verdicts, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what the page shows of one model, as JSON values.

    Args:
        model: the model from load_model; its external data is not read.
        name: the model's name on the page.
        verdicts: the verdicts on its nodes.
        notes: other remarks about the model.
    """
    types, problem = _types(model)
    found = list(scopes(model))
    numbers = {scope: number for number, scope in enumerate(found)}
    nested: dict[Scope, list[int]] = {}
    for scope in found:
        if scope.outer is not None:
            nested.setdefault(scope.outer, []).append(numbers[scope])
    functions = {
        (each.graph.domain, each.graph.name): numbers[each]
        for each in found
        if isinstance(each.graph, onnx.FunctionProto)
    }
    stored = _Stored(found)
    documents = [
        _Drawing(scope, types, stored, verdicts, iter(nested.get(scope, ())), functions).document()
        for scope in found
    ]
    return {
        "name": cut(name),
        "facts": _facts(model, problem),
        "notes": [cut(note, 2000) for note in notes],
        "scopes": documents,
        "counts": counts_of(documents),
    }


def counts_of(documents: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many nodes have each status, each scope counted once."""
    found = Counter(node["status"] for each in documents for node in each["nodes"])
    return {status: found[status] for status in STATUSES}


def _types(model: onnx.ModelProto) -> tuple[Types, str | None]:
    """Return the types of all values, or only the stated ones if the model contradicts itself."""
    try:
        return infer_types(model), None
    except ModelError as error:
        types = Types()
        for scope in scopes(model):
            types.learn(scope)
        return types, error.message


def _facts(model: onnx.ModelProto, problem: str | None) -> list[list[str]]:
    opsets = ", ".join(f"{one.domain or 'ai.onnx'} {one.version}" for one in model.opset_import)
    producer = f"{model.producer_name} {model.producer_version}".strip()
    facts = [["graph", model.graph.name], ["producer", producer], ["opsets", opsets]]
    facts += [["ir_version", str(model.ir_version)], ["shapes", problem or ""]]
    facts += [[entry.key, entry.value] for entry in model.metadata_props]
    return [[cut(key), cut(value)] for key, value in facts if value]


class _Stored:
    """Finds the initializer of a name in a scope."""

    def __init__(self, found: list[Scope]) -> None:
        self._tensors: dict[Scope, dict[str, onnx.TensorProto | onnx.SparseTensorProto]] = {}
        for scope in found:
            if isinstance(scope.graph, onnx.GraphProto):
                self._tensors[scope] = {
                    **{tensor.name: tensor for tensor in scope.graph.initializer},
                    **{one.values.name: one for one in scope.graph.sparse_initializer},
                }

    def find(self, scope: Scope | None, name: str) -> str | None:
        """Return the initializer ``name`` as seen from ``scope``, as text, or None."""
        while scope is not None:
            tensor = self._tensors.get(scope, {}).get(name)
            if isinstance(tensor, onnx.SparseTensorProto):
                dims = "×".join(map(str, tensor.dims))
                return f"sparse {dtype_of_elem_type(tensor.values.data_type)}[{dims}]"
            if tensor is not None:
                return text_of_tensor(tensor)
            if scope.outer is None or name in defined_names(scope.graph):
                return None
            scope = scope.outer
        return None


class _Drawing:
    """Describes one scope: its nodes and the values between them."""

    def __init__(
        self,
        scope: Scope,
        types: Types,
        stored: _Stored,
        verdicts: Verdicts,
        nested: Iterator[int],
        functions: Mapping[tuple[str, str], int],
    ) -> None:
        self._scope = scope
        self._types = types
        self._stored = stored
        self._verdicts = verdicts
        self._nested = nested
        self._functions = functions

    def document(self) -> dict[str, Any]:
        """Return the scope's nodes, other cells, values, constants and rows."""
        graph = self._scope.graph
        nodes = [self._node(position, node) for position, node in enumerate(graph.node)]
        cells: list[list[str]] = []  # the cells that are not nodes: [kind, name]
        producers = {
            name: position for position, node in enumerate(graph.node) for name in node.output
        }
        constants: dict[str, str] = {}
        readers: dict[str, dict[int, None]] = {}

        def add(kind: str, name: str) -> int:
            cells.append([kind, cut(name)])
            return len(nodes) + len(cells) - 1

        def read(name: str, cell: int) -> None:
            if name not in producers:
                tensor = self._stored.find(self._scope, name)
                if tensor is not None:
                    constants[name] = tensor
                    return
                producers[name] = add("outer", name)
            readers.setdefault(name, {})[cell] = None

        for name in self._inputs():
            producers[name] = add("input", name)
        for position, node in enumerate(graph.node):
            captured = sorted(names_read(node).difference(node.input)) if node.attribute else ()
            for name in filter(None, (*node.input, *captured)):
                read(name, position)
        for name in filter(None, output_names(graph)):
            read(name, add("output", name))
        values = [DrawnValue(producers[name], tuple(readers[name])) for name in readers]
        floating = [len(nodes) + at for at, (kind, _) in enumerate(cells) if kind != "output"]
        floating += [at for at, node in enumerate(nodes) if not any(node["inputs"])]
        layout = layout_graph(len(nodes) + len(cells), values, floating)
        named = {name for node in graph.node for name in (*node.input, *node.output)}
        return {
            "path": cut(self._scope.path),
            "title": cut(graph.name),
            "nodes": nodes,
            "cells": cells,
            "values": [cut(name) for name in readers],
            "types": {cut(name): self._type(name) for name in sorted({*named, *readers} - {""})}
            | {cut(name): text for name, text in constants.items()},
            "constants": sorted(map(cut, constants)),
            "rows": layout.rows,
            "wires": layout.wires,
            "far": layout.far,
        }

    def _node(self, position: int, node: onnx.NodeProto) -> dict[str, Any]:
        verdict = self._verdicts.get((self._scope.path, position), _UNKNOWN)
        inside = [(f"{node.op_type}.{name}", next(self._nested)) for name, _ in bodies(node)]
        inside.sort(key=lambda one: one[0] == "If.else_branch")  # then, else
        function = self._functions.get((node.domain, node.op_type))
        if function is not None:
            inside.append((f"function {node.domain}::{node.op_type}", function))
        return {
            "op": cut(node.op_type),
            "domain": cut(node.domain),
            "name": cut(node.name),
            "inputs": [cut(name) for name in node.input],
            "outputs": [cut(name) for name in node.output],
            "attributes": [
                [cut(text) for text in (each.name, *attribute_text(each))]
                for each in node.attribute
            ],
            "doc": cut(node.doc_string),
            "status": verdict.status,
            "reason": cut(verdict.reason, 2000),
            "next": cut(verdict.next_step, 2000),
            "inside": [[cut(title), scope] for title, scope in inside],
        }

    def _inputs(self) -> list[str]:
        """Return the scope's inputs, without those that have an initializer as default."""
        graph = self._scope.graph
        if isinstance(graph, onnx.FunctionProto):
            return list(graph.input)
        stored = {tensor.name for tensor in graph.initializer}
        return [value.name for value in graph.input if value.name not in stored]

    def _type(self, name: str) -> str:
        found = self._types.find(self._scope, name)
        return "" if found is None else cut(text_of_type(found))
