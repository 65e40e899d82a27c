"""Base values, labels and transformations, which are applied to the sums over trees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pluginkit.graph_rewrites.expand_linear_models import transformed
from pluginkit.onnx import NodeInput, Replacement

TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
#: The score of a class for which no leaf has a weight, which is never the greatest.
NEVER = float(np.finfo(np.float32).min)
#: A constant of the approximation of erf's inverse, and pi with the same number of digits.
_WINITZKI, _PI = 0.147, 3.14159


@dataclass(frozen=True)
class Classes:
    """How labels and probabilities follow from a classifier's scores.

    Attributes:
        count: the number of classes.
        base: the base values that are added: one for each class, or none; for two classes also one.
        transform: one of ``TRANSFORMS``.
        ever: the classes that have a weight in any leaf.
        is_positive: whether no weight is negative.
        has_unscored: whether a sample may have no weight of some class.
    """

    count: int
    base: Sequence[float]
    transform: str
    ever: frozenset[int]
    is_positive: bool
    has_unscored: bool

    @property
    def is_one_score(self) -> bool:
        """Whether one score decides between two classes."""
        return self.count == 2 and len(self.ever) == 1

    @property
    def unscored(self) -> float:
        """The score that the plugin returns for a class without a weight.

        With base values every class has a score.
        """
        return NEVER if self.count > 2 and self.has_unscored and not self.base else 0.0


def added(new: Replacement, scores: NodeInput, base: Sequence[float]) -> NodeInput:
    """Add the base values, if there are any."""
    return new.add("Add", scores, np.array(base, np.float32)) if any(base) else scores


def transformed_scores(new: Replacement, scores: NodeInput, transform: str) -> NodeInput:
    """Return the scores [samples, targets] after a transformation."""
    return _probit(new, scores) if transform == "PROBIT" else transformed(new, scores, transform)


def _probit(new: Replacement, x: NodeInput) -> NodeInput:
    """Return sqrt(2) * erfinv(2 * x - 1), by Winitzki's formula."""
    one, two = np.float32(1), np.float32(2)
    centred = new.add("Sub", new.add("Mul", x, two), one)
    product = new.add("Mul", new.add("Sub", one, centred), new.add("Add", one, centred))
    log = new.add("Log", product)
    half = new.add("Mul", log, np.float32(0.5))
    inner = new.add("Add", half, np.float32(2 / (_PI * _WINITZKI)))
    scaled = new.add("Mul", log, np.float32(1 / _WINITZKI))
    under = new.add("Sub", new.add("Mul", inner, inner), scaled)
    size = new.add("Sqrt", new.add("Sub", new.add("Sqrt", under), inner))
    is_negative = new.add("Less", centred, np.float32(0))
    signed = new.add("Where", is_negative, new.add("Neg", size), size)
    return new.add("Mul", signed, np.float32(math.sqrt(2)))


def label_positions(new: Replacement, scores: NodeInput, classes: Classes) -> NodeInput:
    """Return the position of each sample's label among the labels, int64 [samples].

    Of two classes the second is chosen where its score exceeds 0, or 0.5 if it is the only score
    and has no negative weights.

    Args:
        new: the new nodes.
        scores: float32 [samples, classes] from the plugin, before base values.
        classes: the classes.
    """
    if classes.count > 2:
        return new.add("ArgMax", added(new, scores, classes.base), axis=1, keepdims=0)
    column = min(classes.ever) if classes.is_one_score else 1
    decisive: NodeInput = new.slice(scores, 1, column, column + 1)
    if column == 0:
        decisive = added(new, decisive, classes.base)
    limit = 0.5 if classes.is_one_score and classes.is_positive else 0.0
    is_second = new.add("Greater", decisive, np.float32(limit))
    flat = new.add("Reshape", is_second, np.array([-1], np.int64))
    return new.add("Cast", flat, to="int64")


def probabilities(new: Replacement, scores: NodeInput, classes: Classes) -> NodeInput:
    """Return the second output of a classifier, float32 [samples, classes].

    If only the first of two classes has weights, its score s belongs to the second: the outputs are
    1 - s and s, or -s and s with negative weights or LOGISTIC. A single base value for two classes
    belongs to the first.
    """
    if classes.count > 2:
        if classes.unscored:
            is_there = new.add("Greater", scores, np.float32(NEVER))
            scores = new.add("Where", is_there, scores, np.float32(0))
        return transformed_scores(new, added(new, scores, classes.base), classes.transform)
    if classes.is_one_score and 0 in classes.ever:
        score = added(new, new.slice(scores, 1, 0, 1), classes.base)
        is_negated = classes.transform == "LOGISTIC" or not classes.is_positive
        other = new.add("Neg", score) if is_negated else new.add("Sub", np.float32(1), score)
        both = new.add("Concat", other, score, axis=1)
        return new.add("Sigmoid", both) if classes.transform == "LOGISTIC" else both
    base = [] if classes.is_one_score else [*classes.base, 0.0]
    return transformed_scores(new, added(new, scores, base), classes.transform)
