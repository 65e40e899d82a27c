import ml_dtypes
import numpy as np
import onnx
import pytest
from onnxruntime.quantization.matmul_bnb4_quantizer import MatMulBnb4Quantizer

from pluginkit.graph_rewrites.expand_packed_weights import (
    ExpandGatherBlockQuantized,
    ExpandMatMulBnb4,
)
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against

RANDOM = np.random.default_rng(3)
ROWS, COLUMNS, BLOCK = 7, 40, 16
BLOCKS = 3


def packed(numbers, bits):
    """Pack numbers along the last axis, the lowest bits of a byte first."""
    count = 8 // bits
    rows = np.pad(numbers, ((0, 0), (0, -numbers.shape[1] % count)))
    parts = rows.reshape(len(rows), -1, count).astype(np.uint8)
    return np.bitwise_or.reduce(parts << np.arange(0, 8, bits, dtype=np.uint8), axis=2)


def embedding_model(dtype, bits=4, zero=False, stored=("table", "scales", "zero")):
    low = -(2 ** (bits - 1)) if dtype == "int4" else 0
    numbers = RANDOM.integers(low, low + 2**bits, (ROWS, COLUMNS))
    zeros = RANDOM.integers(low, low + 2**bits, (ROWS, BLOCKS))
    kinds = {"int4": ml_dtypes.int4, "uint4": ml_dtypes.uint4}
    if dtype == "uint8":
        table, zeros = packed(numbers, bits), packed(zeros, bits)
    else:
        table, zeros = numbers.astype(kinds[dtype]), zeros.astype(kinds[dtype])
    inputs = {
        "table": table,
        "indices": RANDOM.integers(0, ROWS, (2, 3)),
        "scales": (RANDOM.random((ROWS, BLOCKS)) + 0.1).astype(np.float32),
        "zero": zeros if zero else None,
    }
    there = [name for name in stored if inputs[name] is not None]
    given = {"gather_axis": 0, "quantize_axis": 1, "block_size": BLOCK}
    if dtype == "uint8":
        given["bits"] = bits
    model = microsoft_model(
        "GatherBlockQuantized", inputs, {"y": ("float32", 3)}, stored=there, opset=21, **given
    )
    return model, feeds_of(model, inputs)


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize(
    ("dtype", "bits"), [("int4", 4), ("uint4", 4), ("uint8", 2), ("uint8", 4), ("uint8", 8)]
)
def test_embeddings_are_decoded(dtype, bits, zero):
    model, feeds = embedding_model(dtype, bits, zero)
    assert_spelled_out(model, feeds, [ExpandGatherBlockQuantized], tolerance=1e-5)


def test_embeddings_that_are_not_stored_are_left():
    model, _ = embedding_model("uint8", stored=("table",))
    reason = "its weights are not stored in the model itself"
    assert reason_against(ExpandGatherBlockQuantized, model) == reason


@pytest.mark.parametrize("kind", [0, 1], ids=["FP4", "NF4"])
@pytest.mark.parametrize(("rows", "columns"), [(32, 6), (19, 7)])
def test_what_onnxruntimes_quantizer_writes_is_decoded(kind, rows, columns):
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[n, {rows}] x) => (float[n, {columns}] y) {{ y = MatMul(x, w) }}"""
    plain = onnx.parser.parse_model(text)
    weights = RANDOM.standard_normal((rows, columns)).astype(np.float32)
    plain.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    quantizer = MatMulBnb4Quantizer(plain, kind, 16)
    quantizer.process()
    model = quantizer.model.model
    assert model.graph.node[0].op_type == "MatMulBnb4"
    result = rewrite_model(model, [ExpandMatMulBnb4])
    assert [node.op_type for node in result.model.graph.node] == ["MatMul"]
    feeds = {"x": RANDOM.standard_normal((3, rows)).astype(np.float32)}
    expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-5, atol=1e-5)
