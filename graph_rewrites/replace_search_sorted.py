"""Replace torch.searchsorted, which ONNX lacks, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.graph_rewrites._aten import ATEN, argument, text_argument, unstored
from pluginkit.onnx import Op, Optional, Replacement, Rewrite
from pluginkit.plugins.search_sorted import SearchSorted

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import Match, NewNode


class ReplaceAtenSearchSorted(Rewrite):
    """torch.searchsorted(sequence, values, out_int32, right, side, sorter) -> SearchSorted_PK.

    With a sorter the sequence is gathered first.
    """

    plugin = SearchSorted
    pattern = Op(
        "searchsorted",
        *("sequence", "values", "out_int32", "right"),
        *(Optional("side"), Optional("sorter")),
        domain=ATEN,
    )

    def check(self, match: Match, values: gs.Tensor) -> str | None:
        if match.rank(values) == 0:
            return "it looks up a scalar; expected a tensor"
        flags = (argument(match, number, False) for number in (2, 3))
        return unstored(match, *flags, text_argument(match, 4, "left"))

    def rewrite(
        self, match: Match, sequence: gs.Tensor, values: gs.Tensor, sorter: gs.Tensor | None
    ) -> list[NewNode]:
        new = Replacement(match)
        if sorter is not None:
            sequence = new.add("GatherElements", sequence, sorter, axis=-1)
        right = text_argument(match, 4, "left") == "right" or argument(match, 3, False)
        plugin = SearchSorted(right=bool(right), out_int32=bool(argument(match, 2, False)))
        return [*new, match.plugin_node(plugin, [sequence, values])]
