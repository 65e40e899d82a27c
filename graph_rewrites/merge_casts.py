"""A cast through an integer type that TensorRT does not have goes straight to where it leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_graphsurgeon as gs
from onnx import TensorProto

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    from pluginkit.onnx import NewNode

#: For each type that TensorRT lacks, those whose every value it holds.
_HELD: dict[int, tuple[int, ...]] = {
    TensorProto.INT16: (TensorProto.BOOL, TensorProto.INT8, TensorProto.UINT8),
    TensorProto.UINT16: (TensorProto.BOOL, TensorProto.UINT8),
    TensorProto.UINT32: (TensorProto.BOOL, TensorProto.UINT8, TensorProto.UINT16),
    TensorProto.UINT64: (
        TensorProto.BOOL,
        TensorProto.UINT8,
        TensorProto.UINT16,
        TensorProto.UINT32,
    ),
}


class MergeCasts(Rewrite):
    """Cast(Cast(x, to=int16 | uint16 | uint32 | uint64), to) -> Cast(x, to).

    Only where the type between holds every value of x's type: from a wider type the first cast
    wraps, which the second alone would not. Double needs no rewrite: TensorRT takes it, and
    computes in float32.
    """

    pattern = Op("Cast", Op("Cast", "x", name="first"))

    def check(self, match: Match) -> str | None:
        """The value must survive the type between."""
        first, x = match["first"], match["x"]
        if not isinstance(first, gs.Node) or not isinstance(x, gs.Tensor):
            raise TypeError("the pattern names a node and a value")
        between = int(first.attrs["to"])
        if between not in _HELD:
            return "TensorRT takes it as it is: it has the type between"
        if match.elem_type(x) not in _HELD[between]:
            return f"{TensorProto.DataType.Name(between).lower()} may not hold every value of x"
        return None

    def rewrite(self, match: Match) -> list[NewNode]:
        """One cast, to the type of the last one."""
        x = match["x"]
        return Replacement(match).end("Cast", x, to=match.attribute("to"))
