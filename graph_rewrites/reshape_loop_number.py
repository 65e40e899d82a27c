"""Give a Loop's body its number as the scalar of ONNX where it declares a vector, as in tf2onnx."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx import (
    Change,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    bodies,
    is_op,
    place_of,
    reads_number,
)


class ReshapeLoopNumber(GraphRewrite):
    """Loop(body(number: int64[1])) -> Loop(body(scalar: int64, number = Reshape(scalar, [1]))).

    ONNX Runtime makes the number as the body declares it, and tf2onnx's CropAndResize declares a
    vector. TensorRT's is a scalar, on which its parser crashes where a Slice reads it.
    """

    pattern = Op("Loop")
    order = -4

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        for node in scope.graph.node:
            body = next((each for _, each in bodies(node)), None) if is_op(node, "Loop") else None
            if body is not None and len(body.input[0].type.tensor_type.shape.dim) == 1:
                yield place_of(scope, node), (*_reshape(body, graphs), "Loop")


def _reshape(body: onnx.GraphProto, graphs: Graphs) -> tuple[str, ...]:
    """Declare the number as a scalar, and make the vector that the body reads from it.

    TensorRT has no number of a Loop without a limit, which must stay unread.

    Returns:
        The operators of the nodes that make the vector.
    """
    value = body.input[0]
    del value.type.tensor_type.shape.dim[:]
    if not reads_number(body):
        return ()
    scalar, shape = (graphs.names.new_value(f"{value.name}_{kind}") for kind in ("scalar", "shape"))
    node = onnx.helper.make_node(
        "Reshape", [scalar, shape], [value.name], graphs.names.new_node(scalar)
    )
    body.node.insert(0, node)
    body.initializer.append(onnx.numpy_helper.from_array(np.ones(1, np.int64), shape))
    value.name = scalar
    return ("Reshape",)
