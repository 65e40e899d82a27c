"""Plugins, rewrites and models for the tests of pluginkit.onnx."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from pluginkit import Input, Output, Plugin, attribute, float16, float32
from pluginkit.onnx.rewriting.rewrite import Op, Rewrite

MODELS = Path(__file__).parents[3] / "examples" / "models"
FLOAT, INT64, BOOL = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL


class Silu(Plugin):
    """y = x * sigmoid(x)."""

    types = {"T": (float32, float16)}
    x = Input("T")
    y = Output("T")

    def output_shapes(self, x):
        return x.shape

    def launches(self, x, y):
        return ()

    def reference(self, x):
        return (x / (1 + np.exp(-x))).astype(x.dtype)


class Affine(Plugin):
    """y = a * x + bias, z = the rows of x."""

    types = {"T": (float32,)}
    a: float = attribute(default=1.0)
    labels: tuple[str, ...] = attribute(default=())
    x = Input("T", ranks=(1, 8))
    scale = Input("T", optional=True)
    bias = Input("T", optional=True)
    y = Output("T")
    z = Output("T")

    def output_shapes(self, x, scale, bias):
        return x.shape, (x.shape[0] * 2,)

    def launches(self, x, scale, bias, y, z):
        return ()

    def reference(self, x, scale, bias):
        y = np.float32(self.a) * x
        y = y if scale is None else y * scale
        y = y if bias is None else y + bias
        return y, np.zeros(2 * len(x), np.float32)


class FuseSilu(Rewrite):
    """x * sigmoid(x) -> Silu_PK(x)."""

    plugin = Silu
    pattern = Op("Mul", "x", Op("Sigmoid", "x", name="gate"), commutative=True)

    def check(self, match):
        return "asked to stay" if match.node.name == "stay" else None

    def rewrite(self, match):
        return match.plugin_node(Silu(), [match["x"]])


def value(name, shape, elem_type=FLOAT):
    return helper.make_tensor_value_info(name, elem_type, shape)


def model_of(nodes, inputs, outputs, initializers=(), functions=(), opset=18, **graph):
    made = helper.make_graph(nodes, "test", inputs, outputs, initializers, **graph)
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid(each.domain, 1) for each in functions]
    return helper.make_model(made, opset_imports=opsets, functions=functions, ir_version=10)


def silu_nodes(x, y, name="mul", prefix=""):
    return [
        helper.make_node("Sigmoid", [x], [f"{prefix}gate"], name=f"{name}_gate"),
        helper.make_node("Mul", [x, f"{prefix}gate"], [y], name=name),
    ]
