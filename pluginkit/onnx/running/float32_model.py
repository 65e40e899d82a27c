"""Let nodes compute in float32 whose 16-bit type ONNX Runtime has no CPU kernel for.

Each node reads its 16-bit inputs as float32, and its results are rounded back to the 16-bit type.
That is what a kernel does which accumulates in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import onnx
import onnx.helper

from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.graphs import Scope, has_bodies, scopes
from pluginkit.onnx.model.model_file import inline_functions

FLOAT, FLOAT16, BFLOAT16 = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
)
_NARROW = (FLOAT16, BFLOAT16)
#: Operators that compute nothing, or whose result's type is not that of a 16-bit input.
_UNCHANGED = frozenset({"Cast", "CastLike", "Identity"})
#: Attributes that choose the type of a result.
_TYPE_ATTRIBUTES = frozenset({"dtype", "output_dtype", "to"})


def float32_model(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Return the model with casts around each node that has a 16-bit float as an input.

    The graph's inputs and outputs keep their types. None if no node has such an input.

    Args:
        model: the model, which is not changed.

    Errors:
        PK408: local functions cannot be inlined, or the types contradict each other.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    if changed.functions:
        changed = inline_functions(changed)
    widening = _Widening(infer_types(changed))
    for scope in reversed([*scopes(changed)]):  # bodies before the nodes that hold them
        nodes = [each for node in scope.graph.node for each in widening.around(scope, node)]
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del scope.graph.node[:]
        scope.graph.node.extend(copies)
    return changed if widening.is_used else None


class _Widening:
    def __init__(self, types: Types) -> None:
        self._types = types
        self._numbers = count()
        self.is_used = False

    def around(self, scope: Scope, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Yield the node, with the casts that it needs before and after it."""
        narrow = {name: self._narrow(scope, name) for name in [*node.input, *node.output] if name}
        if not any(narrow[name] for name in node.input if name) or not _can_widen(node):
            yield node
            return
        self.is_used = True
        for at, name in enumerate(node.input):
            if name and narrow[name]:
                node.input[at] = self._name()
                yield onnx.helper.make_node("Cast", [name], [node.input[at]], to=FLOAT)
        after = []
        for at, name in enumerate(node.output):
            if name and narrow[name]:
                node.output[at] = self._name()
                after.append(
                    onnx.helper.make_node("Cast", [node.output[at]], [name], to=narrow[name])
                )
        yield node
        yield from after

    def _narrow(self, scope: Scope, name: str) -> int:
        """Return the 16-bit float type of a value, else 0."""
        found = self._types.find(scope, name)
        elem_type = found.tensor_type.elem_type if found is not None else 0
        return elem_type if elem_type in _NARROW else 0

    def _name(self) -> str:
        return f"pluginkit_float32_{next(self._numbers)}"


def _can_widen(node: onnx.NodeProto) -> bool:
    chooses_type = any(each.name in _TYPE_ATTRIBUTES for each in node.attribute)
    is_onnx = node.domain in ("", "ai.onnx")
    return is_onnx and not chooses_type and node.op_type not in _UNCHANGED and not has_bodies(node)
