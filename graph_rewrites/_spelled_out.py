"""Spell out the activations and normalizations in fused operators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx.helper

from pluginkit.onnx import FLOATS, Match, NodeInput, Replacement, Rewrite, elem_type

#: The domain of the operators that ONNX Runtime adds to ONNX's.
MICROSOFT = "com.microsoft"

#: The output of a normalization, the mean and the inverse of the standard deviation.
Normalized: TypeAlias = tuple[NodeInput, NodeInput, NodeInput]


class OfFloats(Rewrite, abstract=True):
    """A rewrite of an operator whose first input is floating-point."""

    def check(self, match: Match) -> str | None:
        """Return why the first input has another type, or None."""
        return match.dtype_problem(FLOATS, match.inputs[0])


def number(value: float, dtype: str) -> np.generic:
    """Return a number as a scalar of a dtype."""
    scalar: np.generic = onnx.helper.tensor_dtype_to_np_dtype(elem_type(dtype)).type(value)
    return scalar


def gelu(new: Replacement, x: NodeInput, dtype: str) -> NodeInput:
    """Return x * (0.5 + 0.5 * erf(x / sqrt(2)))."""
    erf = new.add("Erf", new.add("Mul", x, number(math.sqrt(0.5), dtype)))
    half = number(0.5, dtype)
    return new.add("Mul", x, new.add("Add", new.add("Mul", erf, half), half))


def tanh_gelu(new: Replacement, x: NodeInput, dtype: str) -> NodeInput:
    """Return x * (0.5 + 0.5 * tanh(x * (0.797885 + 0.035677 * x * x))), as ONNX Runtime has it."""
    square = new.add("Mul", x, x)
    inner = new.add("Mul", square, number(0.035677408136300125, dtype))
    inner = new.add("Mul", x, new.add("Add", inner, number(0.7978845608028654, dtype)))
    half = number(0.5, dtype)
    tanh = new.add("Mul", new.add("Tanh", inner), half)
    return new.add("Mul", x, new.add("Add", tanh, half))


def normalized(
    new: Replacement, x: NodeInput, axes: Sequence[int], epsilon: float, *, centred: bool
) -> Normalized:
    """Return x with a mean of 0 and a variance of 1, or with a mean square of 1.

    Args:
        new: the new nodes.
        x: the value, float32.
        axes: the axes of the means.
        epsilon: the number added to the variance.
        centred: whether to subtract the mean.
    """
    mean: NodeInput = None
    if centred:
        mean = new.reduce("ReduceMean", x, axes, keepdims=True)
        x = new.add("Sub", x, mean)
    square = new.reduce("ReduceMean", new.add("Mul", x, x), axes, keepdims=True)
    deviation = new.add("Sqrt", new.add("Add", square, np.float32(epsilon)))
    inverse = new.add("Div", np.float32(1), deviation)
    return new.add("Mul", x, inverse), mean, inverse


#: Activations of one input by name, with the names of their attributes.
_ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "Elu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Relu": (),
    "Selu": ("alpha", "gamma"),
    "Sigmoid": (),
    "Softplus": (),
    "Softsign": (),
    "Tanh": (),
    "ThresholdedRelu": ("alpha",),
}


#: Activations that ONNX lacks, alpha * f(beta * x), by name.
_SCALED = {"ParametricSoftplus": "Softplus", "ScaledTanh": "Tanh"}


def activation_problem(name: str, parameters: Sequence[float]) -> str | None:
    """Return why a node's activation cannot be spelled out, or None."""
    wanted = {**_ACTIVATIONS, **_SCALED, "Clip": ("low", "high")}
    if name and name not in wanted:
        return f"its activation '{name}' is not known"
    if name == "Clip" and len(parameters) not in (0, 2):
        return "its activation 'Clip' has not two parameters"
    if name in _SCALED and len(parameters) != 2:
        return f"its activation '{name}' has not two parameters"
    return None


def activated(
    new: Replacement, x: NodeInput, name: str, parameters: Sequence[float], dtype: str
) -> NodeInput:
    """Return an activation of x; "" is none.

    Args:
        new: the new nodes.
        x: the value.
        name: the activation, for which ``activation_problem`` finds no problem.
        parameters: its parameters, in order.
        dtype: the type of the value.
    """
    if not name:
        return x
    if name == "Clip":
        if not parameters:
            return x
        if new.opset >= 11:
            return new.add("Clip", x, *(number(each, dtype) for each in parameters))
        return new.add("Clip", x, min=parameters[0], max=parameters[1])
    if name in _SCALED:
        outer, inner = (number(each, dtype) for each in parameters)
        return new.add("Mul", new.add(_SCALED[name], new.add("Mul", x, inner)), outer)
    given: dict[str, Any] = dict(zip(_ACTIVATIONS[name], parameters, strict=False))
    return new.add(name, x, **given)
