"""Compare sizes as the integers that they are, where tf2onnx casts them to floats."""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs

from pluginkit.onnx import Match, Op, Replacement, Rewrite, is_op

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
#: Operators that make sizes of sizes.
_CARRIERS = ("Cast", "Gather", "Identity", "Mul", "ReduceProd", "Reshape", "Slice", "Squeeze")
#: The most nodes between a size and its comparison.
_DEPTH = 8


class CompareSizes(Rewrite):
    """Greater(Cast(size, float), 0.0) -> Greater(Cast(Cast(size, float), int64), 0), and Less.

    TensorRT fails to build with a size that follows from a comparison of floats, as that of
    tf.math.bincount does: its compiler confuses the types.
    """

    pattern = Op(("Greater", "Less"), "a", "b")

    def check(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> str | None:
        kinds = [_kind(match, each) for each in (a, b)]
        if "size" not in kinds or None in kinds:
            return "it compares other things than sizes that are cast to floats"
        return None

    def rewrite(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        return new.end(match.node.op, *(new.cast(each, "int64") for each in (a, b)))


def _kind(match: Match, given: gs.Tensor) -> str | None:
    """Return whether a float is a size or a stored integer; None for others."""
    stored = match.constant(given)
    if stored is not None:
        is_whole = stored.dtype.kind == "f" and stored.size == 1 and stored.item().is_integer()
        return "stored" if is_whole else None
    node = match.producer(given.name)
    if node is None or not is_op(node, "Cast") or node.attribute[0].i not in _FLOATS:
        return None
    return "size" if _is_size(match, node.input[0]) else None


def _is_size(match: Match, name: str, depth: int = _DEPTH) -> bool:
    node = match.producer(name)
    if node is None or depth == 0 or not is_op(node, node.op_type):
        return False
    if node.op_type in ("Shape", "Size"):
        return True
    return node.op_type in _CARRIERS and _is_size(match, node.input[0], depth - 1)
