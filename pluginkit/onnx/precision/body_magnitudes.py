"""Let a model tell how large the values inside its bodies become.

A copy of the model gets nodes that find the largest finite magnitude of a value, in the body that
makes it. An If hands such a number out as an output, of 0 where the other branch is taken; a Loop
or Scan hands out one for each iteration, of which the graph around takes the largest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx.model.graphs import Scope, inner_scopes, scopes
from pluginkit.onnx.rewriting.export_nodes import ModelNames

#: A value: the path of its scope, and its name.
ValueKey = tuple[str, str]
#: The operators whose bodies can hand numbers out.
WITH_BODIES = ("If", "Loop", "Scan")
#: The first opset whose operators choose among floats.
HAS_WHERE = 9


def with_body_magnitudes(
    model: onnx.ModelProto, wanted: Collection[ValueKey]
) -> tuple[onnx.ModelProto, dict[str, ValueKey]]:
    """Return a copy of a model whose main graph computes magnitudes of values in bodies.

    Args:
        model: the model, without local functions.
        wanted: float32 values of bodies.

    Returns:
        The copy, and the values by the names of the scalars that the main graph computes.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    main, names = next(scopes(changed)), ModelNames(changed)
    made = _Magnitudes(wanted, names).of_inner_scopes(main)
    return changed, {name: key for key, name in made.items()}


class _Magnitudes:
    def __init__(self, wanted: Collection[ValueKey], names: ModelNames) -> None:
        self._wanted, self._names = wanted, names

    def of_inner_scopes(self, scope: Scope) -> dict[ValueKey, str]:
        """Hand the magnitudes in a scope's bodies out to it; return the scalars' names."""
        found: dict[ValueKey, str] = {}
        inner = [each for each in inner_scopes(scope) if each[0].op_type in WITH_BODIES]
        at = {id(node): place for place, node in enumerate(scope.graph.node)}
        added: dict[int, list[onnx.NodeProto]] = {}
        for node, bodies in inner:
            made = [(body, self._of_body(body)) for _, body in bodies]
            handed_out, nodes = self._hand_out(node, made)
            found |= handed_out
            added[at[id(node)]] = nodes
        if found:
            _insert(scope.graph, added)
        return found

    def _of_body(self, scope: Scope) -> dict[ValueKey, str]:
        found = self.of_inner_scopes(scope)
        for path, name in sorted(self._wanted):
            if path == scope.path:
                found[path, name] = self._names.new_value(f"{name}_magnitude")
                scope.graph.node.extend(self._largest(name, found[path, name]))
        return found

    def _hand_out(
        self, node: onnx.NodeProto, made: list[tuple[Scope, dict[ValueKey, str]]]
    ) -> tuple[dict[ValueKey, str], list[onnx.NodeProto]]:
        """Add outputs to a node and its bodies; return the scalars and the nodes that make them."""
        found: dict[ValueKey, str] = {}
        nodes: list[onnx.NodeProto] = []
        for key in [key for _, inner in made for key in inner]:
            for scope, inner in made:
                scalar = inner.get(key)
                if scalar is None:
                    scalar = self._names.new_value("magnitude_zero")
                    scope.graph.node.append(_constant(scalar, np.float32(0)))
                scope.graph.output.append(
                    onnx.helper.make_tensor_value_info(scalar, onnx.TensorProto.FLOAT, [])
                )
            out = self._names.new_value(f"{key[1]}_magnitude")
            node.output.append(out)
            found[key] = out
            if node.op_type != "If":
                found[key] = self._names.new_value(f"{key[1]}_largest")
                nodes += self._largest(out, found[key])
        if node.op_type == "Scan":
            _lengthen(node, len(found))
        return found, nodes

    def _largest(self, name: str, out: str) -> Iterator[onnx.NodeProto]:
        """Yield nodes that find the largest finite magnitude of a value; 0 if it has none."""
        make = onnx.helper.make_node
        fresh = {
            part: self._names.new_value(f"{out}_{part}")
            for part in ("size", "infinity", "finite", "kept", "zero", "all", "flat", "some")
        }
        yield make("Abs", [name], [fresh["size"]])
        yield _constant(fresh["infinity"], np.float32(np.inf))
        yield make("Less", [fresh["size"], fresh["infinity"]], [fresh["finite"]])
        yield _constant(fresh["zero"], np.zeros(1, np.float32))
        yield make("Where", [fresh["finite"], fresh["size"], fresh["zero"]], [fresh["kept"]])
        yield _constant(fresh["all"], np.array([-1], np.int64))
        yield make("Reshape", [fresh["kept"], fresh["all"]], [fresh["flat"]])
        yield make("Concat", [fresh["flat"], fresh["zero"]], [fresh["some"]], axis=0)
        yield make("ReduceMax", [fresh["some"]], [out], keepdims=0)


def _constant(name: str, value: Any) -> onnx.NodeProto:
    tensor = onnx.numpy_helper.from_array(np.asarray(value))
    return onnx.helper.make_node("Constant", [], [name], value=tensor)


def _lengthen(node: onnx.NodeProto, count: int) -> None:
    """Add the axes and directions of further outputs to those that a Scan has."""
    for attribute in node.attribute:
        if attribute.name in ("scan_output_axes", "scan_output_directions"):
            attribute.ints.extend([0] * count)


def _insert(graph: Any, added: dict[int, list[onnx.NodeProto]]) -> None:
    """Put nodes behind those that they read."""
    nodes = []
    for place, node in enumerate(graph.node):
        nodes += [node, *added.get(place, ())]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
