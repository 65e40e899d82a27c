"""What ONNX Runtime's quantizer makes of small models is rewritten, is right, and builds."""

import itertools
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from pluginkit.discovery import find_plugins
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.engine.build.build_options import BuildOptions
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.fuzz.node_by_node import run_in_onnxruntime

pytestmark = [
    pytest.mark.trt,
    pytest.mark.slow,
    pytest.mark.exhaustive,
    pytest.mark.usefixtures("rtx"),
]
HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
TEXTS = {
    "cnn": """g (float[1, 3, 12, 12] x) => (float[1, 5] y) <int64[2] flat = {1, -1}> {
        a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1) b = Relu (a)
        c = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b)
        d = Conv <pads = [1, 1, 1, 1]> (c, w2) e = Add (d, c) f = Relu (e)
        p = GlobalAveragePool (f) q = Reshape (p, flat) y = Gemm (q, w3, b3) }""",
    "mlp": """g (float[4, 16] x) => (float[4, 8] y) {
        a = MatMul (x, m1) b = Add (a, n1) c = Sigmoid (b) d = MatMul (c, m2)
        y = Softmax <axis = -1> (d) }""",
    "attention": """g (float[1, 6, 16] x) => (float[1, 6, 16] y) {
        q = MatMul (x, h1) k = MatMul (x, h2) v = MatMul (x, h3)
        t = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, t) z = Mul (s, scale)
        p = Softmax <axis = -1> (z) o = MatMul (p, v) r = MatMul (o, h4) y = Add (r, x) }""",
}
STORED = {
    "cnn": {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "w3": (8, 5), "b3": (5,)},
    "mlp": {"m1": (16, 24), "n1": (24,), "m2": (24, 8)},
    "attention": {"h1": (16, 16), "h2": (16, 16), "h3": (16, 16), "h4": (16, 16), "scale": ()},
}


def _model(name: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(HEAD + TEXTS[name])
    rng = np.random.default_rng(5)
    for each, shape in STORED[name].items():
        array = (rng.standard_normal(shape) * 0.3).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), each))
    return model


def _feeds(model: onnx.ModelProto, seed: int) -> dict[str, np.ndarray]:
    (value,) = model.graph.input
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return {value.name: np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}


class _Reader(CalibrationDataReader):
    def __init__(self, model: onnx.ModelProto) -> None:
        self._left = iter([_feeds(model, seed) for seed in range(4)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


def _quantized(name: str, kind: str, activations: str, weights: str, per_channel: bool) -> Path:
    folder = Path(tempfile.mkdtemp())
    model = _model(name)
    onnx.save(model, folder / "float.onnx")
    target = folder / "quantized.onnx"
    # Without VNNI, ONNX Runtime saturates sums of products with weights of all 8 bits.
    common = {"per_channel": per_channel, "reduce_range": True, "weight_type": QuantType[weights]}
    if kind == "dynamic":
        quantize_dynamic(folder / "float.onnx", target, **common)
    else:
        quantize_static(
            folder / "float.onnx",
            target,
            _Reader(model),
            quant_format=QuantFormat[kind],
            activation_type=QuantType[activations],
            **common,
        )
    return target


FORMS = [
    *itertools.product(["QDQ", "QOperator"], ["QUInt8", "QInt8"], ["QInt8"], [False, True]),
    *itertools.product(["QDQ", "QOperator"], ["QUInt8"], ["QUInt8"], [False]),
    *itertools.product(["dynamic"], [""], ["QInt8", "QUInt8"], [False, True]),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form)))
@pytest.mark.parametrize("name", TEXTS)
def test_a_quantized_model_is_right_and_builds(name, form, tmp_path):
    path = _quantized(name, *form)
    model = onnx.load(path)
    result = rewrite_model(model, find_rewrites(), plugins=find_plugins())
    assert rewrite_model(result.model, find_rewrites(), plugins=find_plugins()).applied == []
    feeds = _feeds(model, 9)
    (expected,) = run_in_onnxruntime(model, feeds)
    (got,) = run_in_onnxruntime(result.model, feeds)
    # A value on the border of two steps may be rounded to either.
    np.testing.assert_allclose(got, expected, atol=0.03 * np.abs(expected).max())
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])
    assert build_engine(path, tmp_path / "m.plan", options=options).plan_path.stat().st_size
