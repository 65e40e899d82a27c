import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.quantize_float8 import QuantizeFloat8
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime

X = np.array([[0.0, -0.0, 1e-4, 0.3], [17.1, -447.0, 1e6, -np.inf]], np.float32)


def cast_model(to, name="FLOAT", back="float", **attributes):
    """Return a model that casts a matrix to a float8 and back."""
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]> g ({back}[N, 4] x) => ({back}[N, 4] y) {{
            q = Cast<to = {to}>(x)
            y = Cast<to = {getattr(onnx.TensorProto, name)}>(q)
        }}
    """)
    cast = model.graph.node[0]
    cast.attribute.extend(onnx.helper.make_attribute(*each) for each in attributes.items())
    return model


@pytest.mark.parametrize(
    ("back", "name", "dtype"),
    [("float", "FLOAT", np.float32), ("float16", "FLOAT16", np.float16)],
)
def test_numbers_are_rounded_as_a_cast_does(back, name, dtype):
    model = cast_model(onnx.TensorProto.FLOAT8E4M3FN, name, back)
    result = rewrite_model(model, [QuantizeFloat8])
    nodes = [node.op_type for node in result.model.graph.node]
    assert nodes == ["QuantizeLinear", "DequantizeLinear"]
    with np.errstate(over="ignore"):
        feeds = {"x": X.astype(dtype)}
    expected = run_onnxruntime(model, feeds)["y"]
    got = run_onnxruntime(result.model, feeds)["y"]
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == dtype
    assert rewrite_model(result.model, [QuantizeFloat8]).applied == []


def test_stored_weights_are_dequantized():
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20]> g (float[N, 2] x) => (float[N, 2] y) {
            v = Cast<to = 1>(w)
            y = MatMul(x, v)
        }
    """)
    stored = onnx.helper.make_tensor(
        "w", onnx.TensorProto.FLOAT8E4M3FN, [2, 2], bytes([0x38, 0x40, 0xB8, 0x01]), raw=True
    )
    model.graph.initializer.append(stored)
    result = rewrite_model(model, [QuantizeFloat8])
    assert [node.op_type for node in result.model.graph.node] == ["DequantizeLinear", "MatMul"]
    got = run_onnxruntime(result.model, {"x": np.eye(2, dtype=np.float32)})["y"]
    np.testing.assert_array_equal(got, [[1, 2], [-1, 2**-9]])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (cast_model(onnx.TensorProto.FLOAT8E5M2), "it is none between float8e4m3fn and"),
        (cast_model(onnx.TensorProto.FLOAT16), "it is none between float8e4m3fn and"),
        (
            cast_model(onnx.TensorProto.FLOAT8E4M3FN, saturate=0),
            "it gives NaN for what is too large",
        ),
    ],
)
def test_other_casts_are_left(model, reason):
    result = rewrite_model(model, [QuantizeFloat8])
    assert result.model.graph.node[0].op_type == "Cast"
    assert any(each.reason.startswith(reason) for each in result.refused)
