"""Know the nodes whose sizes change from one run of a loop to the next, which TensorRT lacks."""

from __future__ import annotations

import onnx

from pluginkit.onnx.model.graphs import is_op
from pluginkit.onnx.rewriting.graph_index import GraphIndex

#: Operators of which these inputs are shapes or sizes, by position.
SHAPE_INPUTS = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (3,),
    "Slice": (1, 2, 3, 4),
    "Tile": (1,),
    "TopK": (1,),
}


def reason_of_changing_size(node: onnx.NodeProto, index: GraphIndex) -> str | None:
    """Return why a node in the body of a Loop or Scan is not built; None unless its size varies."""
    graph = index.scope.graph
    sizes = SHAPE_INPUTS.get(node.op_type, ()) if is_op(node, node.op_type) else ()
    waiting = [node.input[at] for at in sizes if at < len(node.input)]
    if not waiting or not isinstance(graph, onnx.GraphProto) or index.scope.outer is None:
        return None
    changing, seen = {each.name for each in graph.input}, set[str]()
    while waiting:
        name = waiting.pop()
        if name in changing:
            return (
                "its size follows from what changes in a loop, and TensorRT's loops have values of "
                "one size. Take a single element, or mask the others before a sum, a mean or a "
                "maximum; or compute it in front of the loop, of all rows at once."
            )
        made = index.producers.get(name)
        if made is None or name in seen or index.nodes[made].op_type in ("Shape", "Size"):
            continue
        seen.add(name)
        waiting += index.nodes[made].input
    return None
