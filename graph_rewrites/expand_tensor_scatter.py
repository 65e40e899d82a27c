"""Spell out TensorScatter where TensorRT refuses it: caches not of four axes, and circular ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandTensorScatter(Rewrite):
    """TensorScatter(cache, update, at) -> Where(place is written, GatherElements(update), cache).

    TensorRT takes caches of four axes in linear mode.
    """

    pattern = Op("TensorScatter", "cache", "update", Optional("at"))

    def check(self, match: Match, cache: gs.Tensor, update: gs.Tensor) -> str | None:
        rank = match.rank(cache) or match.rank(update)
        if rank is None:
            return "the rank of its cache is unknown"
        if rank < 2:
            return "its cache has no axis beside the batch's"
        if rank == 4 and match.attribute("mode", "linear") == "linear":
            return "TensorRT takes it: its cache has four axes, and is linear"
        return None

    def rewrite(
        self, match: Match, cache: gs.Tensor, update: gs.Tensor, at: gs.Tensor | None
    ) -> list[gs.Node]:
        new = Replacement(match)
        rank = match.rank(cache) or match.rank(update) or 0
        axis = match.attribute("axis", -2) % rank
        shape = new.add("Shape", cache)
        length = new.slice(shape, 0, axis, axis + 1)
        count = new.slice(new.add("Shape", update), 0, axis, axis + 1)
        scalar = new.add("Reshape", length, np.zeros(0, np.int64))
        places = new.add("Range", np.int64(0), scalar, np.int64(1))
        first = np.zeros((1, 1), np.int64) if at is None else new.unsqueeze(at, [1])
        number = new.add("Sub", places, first)  # of the update's element that a place gets
        if match.attribute("mode", "linear") == "circular":
            is_before = new.add("Less", number, np.int64(0))
            number = new.add("Where", is_before, new.add("Add", number, length), number)
        is_written = new.add(
            "And",
            new.add("Not", new.add("Less", number, np.int64(0))),
            new.add("Less", number, count),
        )
        others = [each for each in range(1, rank) if each != axis]
        inside = new.add("Where", is_written, number, np.int64(0))
        index = new.add("Expand", new.unsqueeze(inside, others), shape)
        got = new.add("GatherElements", update, index, axis=axis)
        return new.end("Where", new.unsqueeze(is_written, others), got, cache)
