"""Replace random numbers by a plugin, which keeps the seed that TensorRT ignores."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite
from pluginkit.plugins.random_numbers import RandomNumbers

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode

_NORMAL = ("RandomNormal", "RandomNormalLike")
_UNIFORM = ("RandomUniform", "RandomUniformLike")


class _ReplaceRandom(Rewrite, abstract=True):
    plugin = RandomNumbers
    pattern = Op((*_UNIFORM, *_NORMAL))

    def check(self, match: Match) -> str | None:
        dtype = match.dtype(match.outputs[0])
        if dtype not in FLOATS:
            return f"its numbers are {dtype or 'of an unknown type'}; expected one of {FLOATS}"
        return None

    def rewrite(self, match: Match) -> Iterable[NewNode]:
        import onnx_graphsurgeon as gs

        new = Replacement(match)
        shape: gs.Tensor | np.ndarray = np.array(match.attribute("shape", ()), np.int64)
        count: gs.Tensor = gs.Constant("count", np.array([math.prod(shape)], np.int64))
        if match.inputs:
            shape = new.add("Shape", match.inputs[0])
            count = new.add("ReduceProd", shape, keepdims=1)
        is_normal = match.node.op in _NORMAL
        if is_normal:
            affine = match.attribute("scale", 1.0), match.attribute("mean", 0.0)
        else:
            low = match.attribute("low", 0.0)
            affine = match.attribute("high", 1.0) - low, low
        seed = match.attribute("seed")
        plugin = RandomNumbers(
            # Its bits, so that 0.25 and 0.5 are two seeds.
            seed=None if _is_absent(seed) else int(np.float32(seed).view(np.int32)),
            distribution="normal" if is_normal else "uniform",
        )
        drawn = gs.Variable("RandomNumbers_drawn")
        stored = gs.Constant("affine", np.array(affine, np.float32))
        numbers = match.plugin_node(plugin, [stored, count], [drawn])
        before = list(new)
        shaped = new.add("Reshape", drawn, shape)
        new.end("Cast", shaped, to=match.dtype(match.outputs[0]))
        return [*before, numbers, *list(new)[len(before) :]]


class ReplaceSeededRandom(_ReplaceRandom):
    """RandomUniform(seed), RandomNormal(seed) and their Like forms -> RandomNumbers_PK(seed).

    Every run gives the same numbers, as the seed promises; TensorRT ignores it. They are not those
    of ONNX Runtime or numpy, which have other generators. Those of Bernoulli, Multinomial and
    Dropout come here too.
    """

    def check(self, match: Match) -> str | None:
        if _is_absent(match.attribute("seed")):
            return "it has no seed: TensorRT draws its numbers, or ReplaceUnseededRandom"
        return super().check(match)


class ReplaceUnseededRandom(_ReplaceRandom):
    """RandomUniform, RandomNormal and their Like forms without a seed -> RandomNumbers_PK.

    TensorRT supports these nodes, but does not say when its numbers differ, so the rewrite is
    opt-in. Every run of the plugin gives other numbers, also of a CUDA graph.
    """

    opt_in = True

    def check(self, match: Match) -> str | None:
        if not _is_absent(match.attribute("seed")):
            return "it has a seed: ReplaceSeededRandom takes it"
        return super().check(match)


def _is_absent(seed: float | None) -> bool:
    """Whether there is no seed; NaN stands for none, as in ONNX's reference."""
    return seed is None or math.isnan(seed)
