"""Let sizes be computed from the values of inputs."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx.helper

from pluginkit.onnx import (
    Change,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    dims_of,
    is_op,
    main_and_bodies,
    place_of,
)

#: Operators of which these inputs are sizes, or numbers of runs, by position.
_SIZES = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Loop": (0,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (3,),
    "Slice": (1, 2),
    "Tile": (1,),
    "TopK": (1,),
}
#: Operators that TensorRT computes on the host where a size depends on them.
_ON_HOST = frozenset(
    {
        *("Abs", "Add", "And", "Cast", "Ceil", "Clip", "Concat", "Div", "Equal", "Erf", "Exp"),
        *("Expand", "Floor", "Gather", "Greater", "GreaterOrEqual", "Identity", "Less"),
        *("LessOrEqual", "Log", "MatMul", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow"),
        *("Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"),
        *("Relu", "Reshape", "Round", "Sigmoid", "Sign", "Slice", "Split", "Sqrt", "Squeeze"),
        *("Sub", "Sum", "Tanh", "Transpose", "Unsqueeze", "Where"),
    }
)
_INTEGERS = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)


class DetachSizes(GraphRewrite):
    """Expand(x, size of float inputs) -> Expand(x, CumSum(size)) along an axis of size 1.

    TensorRT computes a size on the host, back to the inputs of the network, which must be integers
    then: "Network input d is a shape tensor and must have type Int32 or Int64". A CumSum is not
    computed there, so that the size is one that depends on data. A Resize gets the larger one of
    that and 1, since TensorRT takes other sizes for negative ones. In the main graph, from
    opset 13.
    """

    pattern = Op(tuple(_SIZES))
    order = 5

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        scope = next(iter(main_and_bodies(graphs.model)))
        if scope.opsets.get("", 1) < 13:
            return []
        stored = {tensor.name for tensor in scope.graph.initializer}
        inputs = (each for each in scope.graph.input if each.name not in stored)
        return _detach(graphs, scope, {each.name for each in inputs if self._detaches(each)})

    def _detaches(self, value: onnx.ValueInfoProto) -> bool:
        return value.type.tensor_type.elem_type not in _INTEGERS


class DetachIntegers(DetachSizes):
    """Expand(x, size of integer inputs) -> Expand(x, CumSum(size)) along an axis of size 1.

    TensorRT plans for a range of the values of such an input, which ``--shapes`` gives. Where it
    does not, ``build`` begins again with this rewrite, unless it is left out by name: the size is
    one that depends on data then, of any value.
    """

    opt_in = True

    def _detaches(self, value: onnx.ValueInfoProto) -> bool:
        return not super()._detaches(value)


def _detach(graphs: Graphs, scope: Scope, inputs: set[str]) -> list[Change]:
    graph = graphs.model.graph
    sources = set(inputs)
    makers: dict[str, onnx.NodeProto] = {}
    nodes: list[onnx.NodeProto] = []
    detached: dict[str, str] = {}
    changes: list[Change] = []
    for node in graph.node:
        copy = onnx.NodeProto.FromString(node.SerializeToString())
        for at in _SIZES.get(node.op_type, ()) if is_op(node, node.op_type) else ():
            if at < len(copy.input) and copy.input[at] in sources:
                made = _Detaching(graphs, scope, makers, sources, detached)
                copy.input[at] = made.value(copy.input[at])
                if node.op_type == "Resize":
                    copy.input[at] = made.positive(copy.input[at])
                nodes += made.nodes
                changes.append((place_of(scope, node), (*made.op_types, node.op_type)))
        nodes.append(copy)
        makers.update(dict.fromkeys(copy.output, copy))
        if is_op(node, node.op_type) and node.op_type in _ON_HOST and sources & set(node.input):
            sources |= set(node.output)
    if changes:
        del graph.node[:]
        graph.node.extend(nodes)
    return changes


class _Detaching:
    """Makes the nodes in front of one size."""

    def __init__(
        self,
        graphs: Graphs,
        scope: Scope,
        makers: dict[str, onnx.NodeProto],
        sources: set[str],
        detached: dict[str, str],
    ) -> None:
        self._graphs = graphs
        self._scope = scope
        self._makers = makers
        self._sources = sources
        self._detached = detached
        self.nodes: list[onnx.NodeProto] = []

    @property
    def op_types(self) -> tuple[str, ...]:
        """The operators of the nodes."""
        return tuple(dict.fromkeys(each.op_type for each in self.nodes))

    def value(self, name: str) -> str:
        """Return a value equal to a size; of a Concat, only the parts that need it are detached."""
        if name in self._detached:
            return self._detached[name]
        maker = self._makers.get(name)
        rank = len(dims_of(self._graphs.types.find(self._scope, name)) or ())
        new = self._graphs.names.new_value(f"{name}_detached")
        self._detached[name] = new
        if maker is not None and is_op(maker, "Concat"):
            parts = [self.value(part) if part in self._sources else part for part in maker.input]
            self.nodes.append(onnx.helper.make_node("Concat", parts, [new], axis=0))
            return new
        axes, axis, wide, summed = (
            self._graphs.names.new_value(f"{name}_{each}")
            for each in ("axes", "axis", "wide", "summed")
        )
        for stored, shape in ((axes, [1]), (axis, [])):
            tensor = onnx.helper.make_tensor(stored, onnx.TensorProto.INT64, shape, [rank])
            self._scope.graph.initializer.append(tensor)
        self.nodes += [
            onnx.helper.make_node("Unsqueeze", [name, axes], [wide]),
            onnx.helper.make_node("CumSum", [wide, axis], [summed]),
            onnx.helper.make_node("Squeeze", [summed, axes], [new]),
        ]
        return new

    def positive(self, name: str) -> str:
        """Return the larger one of each size and 1, which changes none that a Resize may have."""
        one, new = (self._graphs.names.new_value(f"{name}_{each}") for each in ("one", "positive"))
        tensor = onnx.helper.make_tensor(one, onnx.TensorProto.INT64, [1], [1])
        self._scope.graph.initializer.append(tensor)
        self.nodes.append(onnx.helper.make_node("Max", [name, one], [new]))
        return new
