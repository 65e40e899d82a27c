"""Rewrites, models and comparisons for the tests of rewriting."""

import numpy as np
import onnx_graphsurgeon as gs

from pluginkit.onnx.rewriting.rewrite import Rewrite
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from tests.unit.onnx.models import (
    Silu,
    model_of,
    silu_nodes,
    value,
)


def silu_model():
    return model_of(silu_nodes("x", "y"), [value("x", ["n", 4])], [value("y", ["n", 4])])


def assert_same_outputs(model, result, inputs, tmp_path):
    expected = run_onnxruntime(model, inputs)
    got = run_model(result.model, inputs, result.plugins, base_dir=tmp_path)
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=1e-6)


def op_types(model):
    return [node.op_type for node in model.graph.node]


def declared_type(model, name):
    (found,) = [each for each in model.graph.value_info if each.name == name]
    tensor = found.type.tensor_type
    return tensor.elem_type, [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]


def broken_rewrite(rewrite_method, check_method=lambda self, match: None):
    members = {"plugin": Silu, "pattern": "Relu", "__doc__": "relu(x) -> Silu_PK(x)."}
    return type("Broken", (Rewrite,), members | {"rewrite": rewrite_method, "check": check_method})


class Widen(Rewrite):
    """relu(x) -> Silu_PK(relu(x) * k)."""

    plugin = Silu
    pattern = "Elu"

    def rewrite(self, match):
        k, tmp, out = gs.Constant("k", np.float32([3])), gs.Variable("tmp"), gs.Variable("y")
        scale = gs.Node("Mul", inputs=[match.inputs[0], k], outputs=[tmp])
        silu = match.plugin_node(Silu(), [tmp], [out], name="silu")
        return [scale, silu, gs.Node("Relu", inputs=[out], outputs=match.outputs)]
