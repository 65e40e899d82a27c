"""Make a model of some nodes of a model, for ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx.helper

from pluginkit.onnx.model.graphs import names_read
from pluginkit.onnx.running.onnxruntime_session import Array

#: The name, type and known dimensions of what a piece is fed.
FedValue = tuple[str, int, tuple[int | None, ...]]
#: The most elements of a tensor that may hold sizes.
_SIZES = 8


def fed_value(name: str, array: Array, declared: Sequence[int | str | None] | None) -> FedValue:
    """Return what a model has to know of an array that it is fed.

    That is its rank, the sizes that the graph declares, and the length of what may be sizes. ONNX
    Runtime without them infers sizes of 0, and refuses a Resize, or weights of a fused operator.
    Other dimensions may differ from run to run.

    Args:
        name: the value.
        array: what it is fed.
        declared: the sizes of its axes that the graph declares; None if it declares none.
    """
    are_sizes = array.ndim == 1 and array.dtype.kind in "iu" and array.size <= _SIZES
    known = array.shape if are_sizes else declared or (None,) * array.ndim
    dims = tuple(
        size if size == given else None for size, given in zip(array.shape, known, strict=True)
    )
    return name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), dims


def piece_model(
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    fed: Sequence[FedValue],
    outputs: Sequence[str],
    stored: Sequence[onnx.TensorProto],
) -> onnx.ModelProto:
    """Return a model of only these nodes.

    Args:
        model: the whole model.
        nodes: the nodes.
        fed: the inputs.
        outputs: the names of the outputs.
        stored: the initializers that the nodes read, where they are not fed.
    """
    names = {name for name, *_ in fed}
    read = set().union(*map(names_read, nodes)) - names
    graph = onnx.helper.make_graph(
        nodes,
        "piece",
        [onnx.helper.make_tensor_value_info(*each) for each in fed],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [tensor for tensor in stored if tensor.name not in names],
    )
    graph.sparse_initializer.extend(
        sparse for sparse in model.graph.sparse_initializer if sparse.values.name in read
    )
    return onnx.helper.make_model(
        graph,
        opset_imports=model.opset_import,
        functions=model.functions,
        ir_version=model.ir_version,
    )
