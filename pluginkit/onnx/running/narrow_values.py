"""Find the values of a model that are computed in a 16-bit type."""

from __future__ import annotations

import onnx

from pluginkit.onnx.inference.element_types import elem_type
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.model.graphs import names_read, scopes, sorted_nodes
from pluginkit.onnx.running.output_error import TOLERANCES

#: The 16-bit types by their numbers, the one with the larger tolerance first.
_NARROW = {elem_type(name): name for name in ("bfloat16", "float16")}


def narrow_values(model: onnx.ModelProto) -> dict[str, str]:
    """Return, for each value of the main graph that is made of 16-bit floats, their type.

    A converter to float16 that keeps inputs and outputs in float32 leaves such models: a sum in
    another order, or a value that is rounded between two nodes, moves their last digits of float16.
    """
    main = next(scopes(model))
    types = infer_types(model)
    found: dict[str, str] = {}
    for value in main.graph.input:
        _note(found, value.name, _NARROW.get(value.type.tensor_type.elem_type))
    for node in sorted_nodes(main) or main.graph.node:
        is_size = node.op_type in ("Shape", "Size")
        read = [None if is_size else found.get(name) for name in names_read(node)]
        for name in node.output:
            inferred = types.find(main, name)
            own = None if inferred is None else _NARROW.get(inferred.tensor_type.elem_type)
            for each in (own, *read):
                _note(found, name, each)
    return found


def _note(found: dict[str, str], name: str, narrow: str | None) -> None:
    """Note a type for a value, unless it has one with a larger tolerance."""
    if narrow is not None and TOLERANCES[narrow] > TOLERANCES.get(found.get(name, ""), 0.0):
        found[name] = narrow
