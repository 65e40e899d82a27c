"""Run models on the CPU: ONNX's operators in ONNX Runtime, plugin nodes by their numpy references.

A graph is cut at its plugin nodes, and ONNX Runtime runs the pieces between them. An If, Loop or
Scan with a plugin node in a body is run in Python, and its bodies are cut in the same way. Local
functions with plugin nodes are inlined.
"""

from __future__ import annotations

import inspect
import traceback
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.contract import calls
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.scratch import names_a_plugin
from pluginkit.errors import CallbackError, ModelError, PluginkitError
from pluginkit.onnx.inference.value_types import axis_sizes
from pluginkit.onnx.model.graphs import (
    Scope,
    bodies,
    describe,
    names_read,
    output_names,
    sorted_nodes,
)
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.onnx.model.plugin_nodes import Plugins, plugin_of_node
from pluginkit.onnx.running.control_flow import run_control_flow
from pluginkit.onnx.running.onnxruntime_session import (
    Array,
    Arrays,
    LoadedModel,
    check_feeds,
    run_onnxruntime,
)
from pluginkit.onnx.running.piece_model import FedValue, fed_value, piece_model

__all__ = ["run_model", "run_onnxruntime"]

ExecutePlugin = Callable[[Plugin, Sequence[Array]], Sequence[Array]]


def run_model(
    model: onnx.ModelProto,
    inputs: Arrays,
    plugins: Plugins,
    *,
    base_dir: Path,
    execute_plugin: ExecutePlugin | None = None,
    taps: Collection[str] | None = None,
    is_rounding: bool = False,
) -> dict[str, Array]:
    """Run a model whose plugin nodes are computed by their numpy references.

    Args:
        model: the model.
        inputs: an array for each graph input.
        plugins: the plugin classes by registry key.
        base_dir: the folder that external data is relative to.
        execute_plugin: a function that computes a plugin node's outputs from its present inputs;
            by default the reference.
        taps: values of the main graph to return too.
        is_rounding: as for ``LoadedModel``.

    Returns:
        Each graph output and each tap by name.

    Errors:
        PK440: an input is missing or unknown.  PK441: ONNX Runtime refuses a piece.  PK442: a value
        between two pieces is not a tensor.  PK449: a plugin's code failed. Other errors of a
        plugin name the node.
    """
    has_plugin = _HasPlugin(plugins)
    if any(has_plugin(node) for function in model.functions for node in function.node):
        model = inline_functions(model)
    stored = {tensor.name for tensor in model.graph.initializer}
    check_feeds(model.graph.input, stored, inputs)
    execute = execute_plugin or calls.run_reference
    context = _Context(model, has_plugin, plugins, base_dir, execute, is_rounding)
    names = [*output_names(model.graph), *(taps or ())]
    return dict(zip(names, _Graph(context, model.graph, {}, names).run(inputs), strict=True))


class _HasPlugin:
    """Tells whether a node calls a plugin, itself or in a body."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._names = {name for name, _, _ in plugins}

    def __call__(self, node: onnx.NodeProto) -> bool:
        if names_a_plugin(node.op_type, self._names):
            return plugin_of_node(node, self._plugins) is not None
        return any(self(inner) for _, body in bodies(node) for inner in body.node)


@dataclass(frozen=True)
class _Context:
    """Values that all graphs of one run share."""

    model: onnx.ModelProto
    has_plugin: _HasPlugin
    plugins: Plugins
    folder: Path
    execute: ExecutePlugin
    is_rounding: bool


class _Graph:
    """A graph, or a body, cut at its plugin nodes."""

    def __init__(
        self,
        context: _Context,
        graph: onnx.GraphProto,
        outer: Mapping[str, onnx.TensorProto],
        outputs: Sequence[str],
    ) -> None:
        self._context = context
        self._graph = graph
        self._outputs = outputs
        self.initializers = {**outer, **{tensor.name: tensor for tensor in graph.initializer}}
        self.declared = {each.name: axis_sizes(each.type) for each in graph.input}
        self._steps = self._cut()

    def run(self, values: Arrays) -> list[Array]:
        """Return outputs and taps for inputs, and for a body also all values of outer graphs."""
        known = {name: np.asarray(array) for name, array in values.items()}
        for step in self._steps:
            known.update(step.run(known))
        return [self.value(name, known) for name in self._outputs]

    def value(self, name: str, known: Arrays) -> Array:
        """Return a value that was given or computed, or an initializer."""
        if name in known:
            return known[name]
        try:
            return onnx.numpy_helper.to_array(self.initializers[name], str(self._context.folder))
        except (KeyError, ValueError, TypeError, OSError) as error:
            raise ModelError(
                "PK408",
                f"no node produces '{name}', or its data is damaged; expected a valid model.",
                cause=f"{type(error).__name__}: {error}",
                fix="export the model again.",
            ) from error

    def _cut(self) -> list[_Piece | _PythonNode]:
        """Return pieces and plugin nodes in turn; a piece holds all nodes that can run by then."""
        scope = Scope("", self._graph, None, {})
        stage_of: dict[str, int] = {}
        pieces: defaultdict[int, list[onnx.NodeProto]] = defaultdict(list)
        in_python: defaultdict[int, list[onnx.NodeProto]] = defaultdict(list)
        for node in sorted_nodes(scope) or self._graph.node:
            stage = max((stage_of.get(name, 0) for name in names_read(node)), default=0)
            is_in_python = self._context.has_plugin(node)
            (in_python if is_in_python else pieces)[stage].append(node)
            stage_of.update(dict.fromkeys(node.output, stage + is_in_python))
        steps: list[_Piece | _PythonNode] = []
        for stage in range(max([*pieces, *in_python], default=-1) + 1):
            if stage in pieces:
                needed = self._needed(pieces[stage])
                steps.append(_Piece(self, self._context, pieces[stage], needed))
            steps += [_PythonNode(self, self._context, node) for node in in_python[stage]]
        return steps

    def _needed(self, nodes: list[onnx.NodeProto]) -> list[str]:
        """Return the values of these nodes that other nodes, or the graph's outputs, need."""
        made = {name for node in nodes for name in node.output if name}
        inside = {id(node) for node in nodes}
        others = (node for node in self._graph.node if id(node) not in inside)
        read = set(self._outputs).union(*map(names_read, others))
        return sorted(made & read)

    def body(self, body: onnx.GraphProto) -> _Graph:
        """Cut a body of one of the nodes."""
        return _Graph(self._context, body, self.initializers, output_names(body))


class _Piece:
    """Nodes that ONNX Runtime runs."""

    def __init__(
        self,
        graph: _Graph,
        context: _Context,
        nodes: list[onnx.NodeProto],
        outputs: list[str],
    ) -> None:
        self._context = context
        self._nodes = nodes
        self._outputs = outputs
        self._initializers = graph.initializers
        # A branch that is never taken may contradict sizes, for which ONNX Runtime refuses it.
        self._declared = {} if any(list(bodies(node)) for node in nodes) else graph.declared
        self._runners: dict[tuple[FedValue, ...], LoadedModel] = {}
        made = {name for node in nodes for name in node.output}
        self._read = sorted(set().union(*map(names_read, nodes)) - made)

    def run(self, known: Arrays) -> dict[str, Array]:
        """Return the values that later nodes read."""
        if not self._outputs:
            return {}
        feeds = {name: known[name] for name in self._read if name in known}
        fed = tuple(
            fed_value(name, array, self._declared.get(name)) for name, array in feeds.items()
        )
        if fed not in self._runners:
            where = f"the piece from {describe(self._nodes[0])} to {describe(self._nodes[-1])}"
            folder, is_rounding = self._context.folder, self._context.is_rounding
            stored = [self._initializers[name] for name in self._read if name in self._initializers]
            model = piece_model(self._context.model, self._nodes, fed, self._outputs, stored)
            self._runners[fed] = LoadedModel(model, folder, where, is_rounding)
        return self._runners[fed].run(feeds)


class _PythonNode:
    """A plugin node, or an If, Loop or Scan with a plugin node in a body."""

    def __init__(self, graph: _Graph, context: _Context, node: onnx.NodeProto) -> None:
        self._graph = graph
        self._context = context
        self._node = node
        self._bodies = {name: graph.body(body) for name, body in bodies(node)}

    def run(self, known: Arrays) -> dict[str, Array]:
        """Return the node's outputs by name."""
        node = self._node
        inputs = [self._graph.value(name, known) if name else None for name in node.input]
        if self._bodies:
            outputs = run_control_flow(
                node, inputs, lambda name, feeds: self._bodies[name].run({**known, **feeds})
            )
        else:
            outputs = self._compute([array for array in inputs if array is not None])
        return {name: array for name, array in zip(node.output, outputs, strict=False) if name}

    def _compute(self, arrays: list[Array]) -> list[Array]:
        try:
            plugin = plugin_of_node(self._node, self._context.plugins)
            outputs = self._context.execute(cast(Plugin, plugin), arrays)
        except PluginkitError as error:
            error.where = error.where or f"node {describe(self._node)}"
            raise
        except MemoryError:
            raise
        except Exception as error:  # an author's method raises anything
            raise _failure(self._node, cast(Plugin, plugin), error) from error
        return [np.asarray(array) for array in outputs]


def _failure(node: onnx.NodeProto, plugin: Plugin, error: Exception) -> CallbackError:
    """Return the error for a plugin whose own code failed, with the author's line."""
    name = type(plugin).__name__
    file = inspect.getsourcefile(type(plugin)) or ""
    lines = [each for each in traceback.extract_tb(error.__traceback__) if each.filename == file]
    line = f", {file}:{lines[-1].lineno}" if lines else ""
    is_unwritten = isinstance(error, NotImplementedError)
    return CallbackError(
        "PK449",
        f"{name}: its code {'is not written yet' if is_unwritten else 'failed'}.",
        where=f"node {describe(node)}{line}",
        cause=f"{type(error).__name__}: {error}",
        fix=f"write it; pluginkit check {name} says what is missing."
        if is_unwritten
        else f"correct it; pluginkit check {name} tests it alone.",
    )
