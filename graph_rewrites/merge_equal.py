"""Merge nodes that compute the same."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from pluginkit.onnx import (
    FLOATS,
    Change,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    elem_type,
    is_op,
    merge_equal_nodes,
)

#: Operators that TensorRT fuses with what reads them, as do rewrites that look for a few nodes with
#: one reader each. TensorRT merges equal ones itself.
_FUSED = frozenset(
    {
        *("Abs", "Add", "Cast", "Clip", "Div", "Erf", "Exp", "Log", "Max", "Mean", "Min", "Mul"),
        *("Neg", "Pow", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceSum", "ReduceSumSquare"),
        *("Relu", "Reshape", "Sigmoid", "Softplus", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose"),
        *("Unsqueeze", "Where"),
    }
)
#: Each scale belongs to the node that reads it, and a copy of a stored value costs nothing.
_LEFT = ("Constant", "DequantizeLinear", "Identity", "QuantizeLinear")


class MergeEqual(GraphRewrite):
    """y = Op(x), z = Op(x) -> y = Op(x), and what reads z reads y.

    Shapes and integers that exporters compute again for every layer, and nodes that plugins or
    several nodes would replace. Random operators are left, and so are elementwise ones and
    reductions of floats, which TensorRT merges itself.
    """

    pattern = Op(("Shape", "Gather", "Concat", "Slice", "TopK", "MatMul", "Conv"))
    order = -4

    def may_change(self, graphs: Graphs) -> bool:
        return True  # nodes of nearly every operator are merged

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        floats = {elem_type(dtype) for dtype in FLOATS}

        def merges(scope: Scope, node: onnx.NodeProto) -> bool:
            if node.op_type in _LEFT:
                return False
            if node.op_type not in _FUSED or not is_op(node, node.op_type):
                return True
            found = graphs.types.find(scope, node.output[0])
            return found is not None and found.tensor_type.elem_type not in {0, *floats}

        return merge_equal_nodes(graphs, merges)
