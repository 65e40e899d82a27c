import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.expand_window import ExpandWindow
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model


def window(op_type, elem_type):
    options = {"output_datatype": elem_type, "periodic": 0, "ranks": {"y": 1}}
    return node_model(op_type, {"size": np.array(9)}, **options)


@pytest.mark.parametrize("op_type", ["BlackmanWindow", "HammingWindow", "HannWindow"])
def test_windows_of_doubles_are_those_of_floats(op_type):
    model = window(op_type, onnx.TensorProto.DOUBLE)
    (got,) = outputs_of(ExpandWindow, model, {"size": np.array(9)})
    expected = run_onnxruntime(model, {"size": np.array(9)})["y"]
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


def test_windows_of_floats_are_left():
    reason = reason_against(ExpandWindow, window("HannWindow", onnx.TensorProto.FLOAT))
    assert reason == "TensorRT takes it: it is float32"
