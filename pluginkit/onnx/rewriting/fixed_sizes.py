"""Fix the named dimensions of a model that have one size only."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from pluginkit.onnx.inference.value_types import dims_of


def fix_sizes(model: onnx.ModelProto, extents: Mapping[str, tuple[int, int]]) -> None:
    """Give dimensions whose least size is the greatest that size, in the main graph of a model.

    An engine for one image size then is built from the nodes of an export of that size.

    Args:
        model: the model, which is changed.
        extents: the least and the greatest size of named dimensions.
    """
    sizes = {name: least for name, (least, largest) in extents.items() if least == largest}
    graph = model.graph
    for value in (*graph.input, *graph.value_info, *graph.output) if sizes else ():
        for dim in dims_of(value.type) or ():
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
