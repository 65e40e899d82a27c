"""A small CNN and a transformer block in float32, as exporters write them, for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.unit.onnx.models import INT64, model_of, value


class Weights:
    """Draws weights, and keeps them as initializers."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self.tensors: list[onnx.TensorProto] = []

    def __call__(self, name: str, *shape: int) -> str:
        read = shape[0] if len(shape) == 2 else np.prod(shape[1:])  # of a product, or a Conv
        array = self._rng.standard_normal(shape) / np.sqrt(read)
        return self.keep(name, array.astype(np.float32))

    def keep(self, name: str, array: np.ndarray | Sequence[int] | float) -> str:
        array = np.asarray(array)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        self.tensors.append(numpy_helper.from_array(array, name))
        return name


def node(op_type: str, inputs: Sequence[str], output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs, [output], name=f"node_{output}", **attributes)


def cnn(opset: int = 22) -> onnx.ModelProto:
    """Conv, Relu, MaxPool, Conv, Relu, GlobalAveragePool, Gemm: [n, 3, 16, 16] to [n, 10]."""
    w = Weights()
    nodes = [
        node("Conv", ["x", w("w1", 8, 3, 3, 3), w("b1", 8)], "c1", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], "r1"),
        node("MaxPool", ["r1"], "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", w("w2", 16, 8, 3, 3), w("b2", 16)], "c2", pads=[1, 1, 1, 1]),
        node("Relu", ["c2"], "r2"),
        node("GlobalAveragePool", ["r2"], "g"),
        node("Flatten", ["g"], "f"),
        node("Gemm", ["f", w("w3", 16, 10), w("b3", 10)], "y"),
    ]
    x, y = value("x", ["n", 3, 16, 16]), value("y", ["n", 10])
    return model_of(nodes, [x], [y], w.tensors, opset=opset)


def transformer(width: int = 32) -> onnx.ModelProto:
    """A block with one head, a mask of integers, and a gelu: [n, t, width] to the same."""
    w = Weights()
    norms = [w.keep(name, np.ones(width)) for name in ("g1", "g2")]
    nodes = [
        node("LayerNormalization", ["x", norms[0], w("h1", width)], "n1", axis=-1),
        node("MatMul", ["n1", w("wq", width, width)], "q"),
        node("MatMul", ["n1", w("wk", width, width)], "k"),
        node("MatMul", ["n1", w("wv", width, width)], "v"),
        node("Transpose", ["k"], "kt", perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], "products"),
        node("Div", ["products", w.keep("root", np.sqrt(width))], "scores"),
        node("Cast", ["mask"], "mask_float", to=onnx.TensorProto.FLOAT),
        node("Sub", [w.keep("one", 1.0), "mask_float"], "hidden"),
        node("Mul", ["hidden", w.keep("lowest", float(np.finfo(np.float32).min))], "bias"),
        node("Unsqueeze", ["bias", w.keep("axis", np.array([1]))], "bias3"),
        node("Add", ["scores", "bias3"], "masked"),
        node("Softmax", ["masked"], "weights", axis=-1),
        node("MatMul", ["weights", "v"], "mixed"),
        node("MatMul", ["mixed", w("wo", width, width)], "o"),
        node("Add", ["x", "o"], "x2"),
        node("LayerNormalization", ["x2", norms[1], w("h2", width)], "n2", axis=-1),
        node("MatMul", ["n2", w("wi", width, 2 * width)], "up"),
        node("Gelu", ["up"], "activated"),
        node("MatMul", ["activated", w("wd", 2 * width, width)], "down"),
        node("Add", ["x2", "down"], "y"),
    ]
    x, y = value("x", ["n", "t", width]), value("y", ["n", "t", width])
    mask = value("mask", ["n", "t"], INT64)
    return model_of(nodes, [x, mask], [y], w.tensors, opset=22)
