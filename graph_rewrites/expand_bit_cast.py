"""Turn BitCast between 8-bit integers, which TensorRT lacks, into a Cast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_CASTS = {("bool", "uint8"), ("bool", "int8"), ("int8", "uint8"), ("uint8", "int8")}


class ExpandBitCast(Rewrite):
    """BitCast(x, to) -> Cast(x +- 256 if its highest bit is set, to).

    It matches casts between uint8 and int8, and from bool to them; the bits of other types cannot
    be computed by arithmetic.
    """

    pattern = Op("BitCast", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        if (match.dtype(x), match.dtype_attribute("to")) not in _CASTS:
            return "the bits of one of its types cannot be computed from its values"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        """Make the nodes, which compute in int32."""
        to = match.dtype_attribute("to")
        new = Replacement(match)
        if match.dtype(x) == "bool":
            return new.end("Cast", x, to=to)
        wide = new.cast(x, "int32")
        if to == "uint8":
            return new.end("Cast", new.add("Mod", wide, np.int32(256)), to=to)
        shifted = new.add("Mod", new.add("Add", wide, np.int32(128)), np.int32(256))
        return new.end("Cast", new.add("Sub", shifted, np.int32(128)), to=to)
