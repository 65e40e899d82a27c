"""Give each output of a body a value that no other output has.

ONNX Runtime leaves an output of an If, Loop or Scan without data if its body returns the same value
twice.
"""

from __future__ import annotations

from itertools import count

import onnx
import onnx.helper

from pluginkit.onnx.model.graphs import output_names, scopes


def with_distinct_body_outputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, or a copy in which each repeated output of a body is an Identity."""
    bodies = [scope.graph for scope in scopes(model) if scope.outer is not None]
    if all(len(set(output_names(body))) == len(output_names(body)) for body in bodies):
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    numbers = count()
    for scope in scopes(changed):
        if scope.outer is None:
            continue
        seen: set[str] = set()
        for output in scope.graph.output:
            if output.name in seen:
                name = f"pluginkit_copy_{next(numbers)}"
                scope.graph.node.append(onnx.helper.make_node("Identity", [output.name], [name]))
                output.name = name
            seen.add(output.name)
    return changed
