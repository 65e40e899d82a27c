"""Spell out the linear models of ai.onnx.ml, and support vectors that predict a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluginkit.graph_rewrites.expand_scalers import ML, floats
from pluginkit.onnx import Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

NUMBERS = ("float32", "float64", "int64", "int32")
_TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO")
#: Scores below this magnitude count as zero for SOFTMAX_ZERO.
_ZERO = 1e-7


@dataclass(frozen=True)
class _Linear:
    """The weights, [features, scores], the constants that are added, and the transformation."""

    weights: npt.NDArray[np.float32]
    constants: npt.NDArray[np.float32]
    transform: str


class ExpandLinearClassifier(Rewrite):
    """ai.onnx.ml.LinearClassifier(x) -> Gather(labels, ArgMax(s)), s = MatMul(x, w) + constants.

    The second output are the scores s after the node's transformation. Labels must be integers,
    unless they are unused.
    """

    pattern = Op("LinearClassifier", "x", domain=ML)

    def check(self, match: Match, x: gs.Tensor) -> str | _Linear:
        if match.attribute("classlabels_strings", []) and match.is_used(match.outputs[0]):
            return "its labels are strings, which TensorRT has no tensors of"
        found = _linear(match, x, len(floats(match, "intercepts")))
        if isinstance(found, str):
            return found
        scores = found.weights.shape[1]
        if scores < 2:
            return "it has one score for two classes"
        labels = match.attribute("classlabels_ints", [])
        if labels and len(labels) != scores:
            return f"it has {len(labels)} labels for {scores} scores"
        return found

    def rewrite(self, match: Match, x: gs.Tensor, facts: _Linear) -> list[gs.Node]:
        new = Replacement(match)
        scores = _scores(new, x, facts)
        if match.outputs[0].name and not match.attribute("classlabels_strings", []):
            labels = match.attribute("classlabels_ints", list(range(facts.weights.shape[1])))
            best = new.add("ArgMax", scores, axis=1, keepdims=0)
            new.into(match.outputs[:1], "Gather", np.array(labels, np.int64), best)
        if match.outputs[1:] and match.outputs[1].name:
            value = transformed(new, scores, facts.transform)
            new.into(match.outputs[1:2], "Identity", value)
        return list(new)


class ExpandLinearRegressor(Rewrite):
    """ai.onnx.ml.LinearRegressor(x) -> MatMul(x, weights) + constants."""

    pattern = Op("LinearRegressor", "x", domain=ML)

    def check(self, match: Match, x: gs.Tensor) -> str | _Linear:
        return _linear(match, x, match.attribute("targets", 1))

    def rewrite(self, match: Match, x: gs.Tensor, facts: _Linear) -> list[gs.Node]:
        new = Replacement(match)
        value = transformed(new, _scores(new, x, facts), facts.transform)
        return new.end("Identity", value)


class ExpandSvmRegressor(Rewrite):
    """ai.onnx.ml.SVMRegressor(x) -> MatMul(kernel(x, support vectors), coefficients) + rho.

    Without support vectors the coefficients are those of the features. One class gives 1, or -1 if
    the number is not positive.
    """

    pattern = Op("SVMRegressor", "x", domain=ML)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        kernel = match.attribute("kernel_type", "LINEAR")
        if kernel not in ("LINEAR", "POLY", "RBF", "SIGMOID"):
            return f"its kernel '{kernel}' is not known"
        if match.attribute("post_transform", "NONE") != "NONE":
            return "its number is transformed"
        if match.rank(x) != 2 or not len(floats(match, "rho")):
            return "its input has not two axes, or its rho is missing"
        count = match.attribute("n_supports", 0)
        vectors, coefficients = floats(match, "support_vectors"), floats(match, "coefficients")
        if count and (len(coefficients) != count or len(vectors) % count):
            return "it has not one coefficient for each support vector"
        if not count and kernel != "LINEAR":
            return "it has a kernel, and no support vectors"
        features = len(vectors) // count if count else len(coefficients)
        if (match.shape(x) or (None,))[-1] not in (None, features):
            return "its support vectors, or coefficients, are not one for each feature"
        return match.dtype_problem(NUMBERS, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        value = new.cast(x, "float32")
        count = match.attribute("n_supports", 0)
        if count:
            vectors = floats(match, "support_vectors").reshape(count, -1)
            value = kernel_of(new, match, value, vectors)
        coefficients = floats(match, "coefficients").reshape(-1, 1)
        product = new.add("MatMul", value, coefficients)
        y = new.add("Add", product, floats(match, "rho")[:1])
        if not match.attribute("one_class", 0):
            return new.end("Identity", y)
        is_positive = new.add("Greater", y, np.float32(0))
        return new.end("Where", is_positive, np.float32(1), np.float32(-1))


def kernel_of(
    new: Replacement, match: Match, x: NodeInput, vectors: npt.NDArray[np.float32]
) -> gs.Variable:
    """Return the kernel of each row of x with each support vector."""
    kernel = match.attribute("kernel_type", "LINEAR")
    gamma, constant, degree = (*floats(match, "kernel_params"), 0.0, 0.0, 0.0)[:3]
    if kernel == "RBF":
        difference = new.add("Sub", new.unsqueeze(x, [1]), vectors)
        squares = new.reduce("ReduceSum", new.add("Mul", difference, difference), [2])
        return new.add("Exp", new.add("Mul", squares, np.float32(-gamma)))
    product = new.add("MatMul", x, np.ascontiguousarray(vectors.T))
    if kernel == "LINEAR":
        return product
    inner = new.add("Add", new.add("Mul", product, np.float32(gamma)), np.float32(constant))
    if kernel == "SIGMOID":
        return new.add("Tanh", inner)
    return new.add("Pow", inner, np.float32(degree))


def _linear(match: Match, x: gs.Tensor, count: int) -> str | _Linear:
    """Return the linear function of a node with ``count`` scores, or why it is unknown."""
    coefficients, constants = floats(match, "coefficients"), floats(match, "intercepts")
    transform = match.attribute("post_transform", "NONE")
    if transform not in _TRANSFORMS:
        return f"its transformation '{transform}' is not known"
    if count < 1 or not len(coefficients) or len(coefficients) % count:
        return "its coefficients are not as many for each score"
    if len(constants) not in (0, count):
        return "its intercepts are not one for each score"
    if match.rank(x) != 2:
        return "its input has not two axes"
    weights = np.ascontiguousarray(coefficients.reshape(count, -1).T)
    if (match.shape(x) or (None,))[-1] not in (None, len(weights)):
        return "its coefficients are not one for each feature"
    return match.dtype_problem(NUMBERS, x) or _Linear(weights, constants, transform)


def _scores(new: Replacement, x: gs.Tensor, linear: _Linear) -> gs.Variable:
    product = new.add("MatMul", new.cast(x, "float32"), linear.weights)
    return new.add("Add", product, linear.constants) if len(linear.constants) else product


def transformed(new: Replacement, scores: NodeInput, transform: str) -> NodeInput:
    """Return the scores [rows, scores] after a transformation."""
    if transform == "LOGISTIC":
        return new.add("Sigmoid", scores)
    if transform == "SOFTMAX":
        return new.add("Softmax", scores, axis=1)
    if transform == "SOFTMAX_ZERO":
        largest = new.reduce("ReduceMax", scores, [1], keepdims=True)
        powers = new.add("Exp", new.add("Sub", scores, largest))
        is_zero = new.add("Less", new.add("Abs", scores), np.float32(_ZERO))
        kept = new.add("Where", is_zero, np.float32(0), powers)
        return new.add("Div", kept, new.reduce("ReduceSum", kept, [1], keepdims=True))
    return scores
