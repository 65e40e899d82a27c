"""Draw samples from uniform random numbers, for operators that TensorRT lacks.

Where the operator has a seed, ReplaceSeededRandom then makes the uniform numbers a plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The least and the largest uniform number whose logarithms are finite, and not zero.
_LEAST, _LARGEST = 2.0**-126, 1 - 2.0**-24


class ExpandBernoulli(Rewrite):
    """Bernoulli(x) -> Cast(RandomUniformLike(x) < x)."""

    pattern = Op("Bernoulli", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return match.dtype_problem(FLOATS, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        chance = new.cast(x, "float32")
        drawn = new.add("Less", _uniform(new, match, chance), chance)
        return new.end("Cast", drawn, to=match.dtype_attribute("dtype") or match.dtype(x))


class ExpandMultinomial(Rewrite):
    """Multinomial(x) -> ArgMax(x + g), with g = -log(-log(RandomUniformLike)) for each sample.

    The class with the largest sum of its logarithm and Gumbel noise is a sample of the classes.
    """

    pattern = Op("Multinomial", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return match.dtype_problem(FLOATS, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        count = match.attribute("sample_size", 1)
        sizes = np.array([1, count, 1], np.int64)
        logarithms = new.add("Expand", new.unsqueeze(new.cast(x, "float32"), [1]), sizes)
        uniform = _uniform(new, match, logarithms)
        inside = new.add("Max", new.add("Min", uniform, np.float32(_LARGEST)), np.float32(_LEAST))
        noise = new.add("Log", new.add("Neg", new.add("Log", inside)))
        best = new.add("ArgMax", new.add("Sub", logarithms, noise), axis=2, keepdims=0)
        return new.end("Cast", best, to=match.dtype_attribute("dtype") or "int32")


class ExpandTrainingDropout(Rewrite):
    """Dropout(x, ratio, training_mode=1) -> x * mask / (1 - ratio), RandomUniformLike(x) >= ratio.

    For dropout that stays on in inference. DropDropout takes a ratio of 0.
    """

    pattern = Op("Dropout", "x", Optional("ratio"), Optional("training"))

    def check(
        self, match: Match, x: gs.Tensor, ratio: gs.Tensor | None, training: gs.Tensor | None
    ) -> str | None:
        stored = None if training is None else match.constant(training)
        if stored is None or not stored.all():
            return "it does not train, or its mode is not stored"
        if ratio is not None and match.is_zero(ratio):
            return "its ratio is zero: DropDropout takes it"
        return match.dtype_problem(FLOATS, x)

    def rewrite(self, match: Match, x: gs.Tensor, ratio: gs.Tensor | None) -> list[gs.Node]:
        new = Replacement(match)
        wide, share = new.cast(x, "float32"), np.float32(0.5)
        dropped: NodeInput = share if ratio is None else new.cast(ratio, "float32")
        is_kept = new.add("Not", new.add("Less", _uniform(new, match, wide), dropped))
        if any(map(match.is_used, match.outputs[1:])):
            new.into(match.outputs[1:], "Identity", is_kept)
        scaled = new.add("Div", wide, new.add("Sub", np.float32(1), dropped))
        y = new.add("Where", is_kept, scaled, np.float32(0))
        return new.into(match.outputs[:1], "Cast", y, to=match.dtype(x))


def _uniform(new: Replacement, match: Match, like: NodeInput) -> gs.Variable:
    """Return numbers from 0 to 1, one for each element of a float32 tensor."""
    return new.add("RandomUniformLike", like, dtype=1, seed=match.attribute("seed"))
