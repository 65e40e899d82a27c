import math

import numpy as np
from onnx.reference import ReferenceEvaluator

from pluginkit.graph_rewrites.expand_mod import ExpandMod
from tests.graph_rewrites.rewriting import outputs_of, reason_against, rewritten
from tests.graph_rewrites.samples import node_model


def test_edges_give_what_python_gives():
    values = np.array([0.0, -0.0, 5.5, -5.5, 1e-30, -7.25, 3.0, -3.0], np.float32)
    divisors = np.array([3.0, -3.0, 0.25, -1e30, np.inf, -np.inf], np.float32)
    feeds = {"a": values[:, None], "b": divisors}
    model = rewritten(ExpandMod, node_model("Mod", feeds, opset=13, fmod=0))
    (got,) = ReferenceEvaluator(model).run(None, feeds)  # ONNX Runtime's Where drops signs of zeros
    expected = np.array([[float(a) % float(b) for b in divisors] for a in values], np.float32)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(expected))


def test_what_has_no_remainder_is_nan():
    feeds = {
        "a": np.array([np.inf, -np.inf, 1, np.nan, 1], np.float32),
        "b": np.array([1, 1, 0, 1, np.nan], np.float32),
    }
    (got,) = outputs_of(ExpandMod, node_model("Mod", feeds, opset=13), feeds)
    assert all(map(math.isnan, got))


def test_what_tensorrt_has_is_left():
    a = np.ones(3, np.float32)
    model = node_model("Mod", {"a": a, "b": a}, opset=13, fmod=1)
    assert reason_against(ExpandMod, model) == "TensorRT takes it: fmod is 1"
    a = np.ones(3, np.int32)
    model = node_model("Mod", {"a": a, "b": a}, opset=13)
    assert reason_against(ExpandMod, model) == (
        "'a' is int32; expected float32, float16 or bfloat16"
    )
