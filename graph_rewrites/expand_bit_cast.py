"""BitCast between integers of 8 bits, which TensorRT lacks, becomes a Cast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto
_CASTS = {(_T.BOOL, _T.UINT8), (_T.BOOL, _T.INT8), (_T.INT8, _T.UINT8), (_T.UINT8, _T.INT8)}


class ExpandBitCast(Rewrite):
    """BitCast(x, to) -> Cast(x +- 256 where its highest bit is set, to).

    Between uint8 and int8, and from bool to them. Other types have no arithmetic for their bits.
    """

    pattern = "BitCast"

    def check(self, match: Match) -> str | None:
        """The types must be integers of 8 bits."""
        types = (match.elem_type(match.inputs[0]), match.attribute("to"))
        if types not in _CASTS:
            return "the bits of one of its types cannot be had from its values"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """The arithmetic is int32."""
        (x,) = match.inputs
        old, to = match.elem_type(x), match.attribute("to")
        new = Replacement(match)
        if old == _T.BOOL:
            return new.end("Cast", x, to=to)
        wide = new.cast(x, _T.INT32)
        if to == _T.UINT8:
            return new.end("Cast", new.add("Mod", wide, np.int32(256)), to=to)
        shifted = new.add("Mod", new.add("Add", wide, np.int32(128)), np.int32(256))
        return new.end("Cast", new.add("Sub", shifted, np.int32(128)), to=to)
