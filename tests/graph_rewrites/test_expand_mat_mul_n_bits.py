import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_mat_mul_n_bits import ExpandMatMulNBits
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import full_range, normal

N, K, BLOCK = 6, 40, 16
BLOCKS = 3


def n_bits_model(
    bits, dtype="float32", stored=("packed", "scales", "zero", "groups", "bias"), **optional
):
    inputs = {
        "x": normal(2, 5, K).astype(dtype),
        "packed": full_range(np.uint8, N, BLOCKS, BLOCK * bits // 8),
        "scales": (np.abs(normal(N, BLOCKS)) / 50 + 0.01).astype(dtype),
        "zero": optional.get("zero"),
        "groups": optional.get("groups"),
        "bias": optional.get("bias"),
    }
    given = {"K": K, "N": N, "bits": bits, "block_size": BLOCK, **optional.get("attributes", {})}
    there = [name for name in stored if inputs[name] is not None]
    dims = {"x": ("n", 5, K)}
    model = microsoft_model(
        "MatMulNBits", inputs, {"y": (dtype, 3)}, stored=there, dims=dims, **given
    )
    return model, feeds_of(model, inputs)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("optional", ["", "zero", "bias"])
def test_weights_are_decoded(bits, dtype, optional):
    given = {"bias": normal(N).astype(dtype)} if optional == "bias" else {}
    if optional == "zero":
        given["zero"] = full_range(np.uint8, N, -(-BLOCKS * bits // 8))
    model, feeds = n_bits_model(bits, dtype, **given)
    tolerance = 1e-4 if dtype == "float32" else 3e-2
    assert_spelled_out(model, feeds, [ExpandMatMulNBits], tolerance=tolerance)
    (note,) = rewrite_model(model, [ExpandMatMulNBits]).notes
    times = (32 if dtype == "float32" else 16) // bits
    assert f"weights of {bits} bits are stored as {dtype}, in {times} times the space" in note


def test_the_input_is_not_rounded_where_that_is_allowed():
    """ONNX Runtime would round it to 8 bits; accuracy_level is the least accuracy."""
    model, feeds = n_bits_model(4, attributes={"accuracy_level": 4})
    assert_spelled_out(model, feeds, [ExpandMatMulNBits], tolerance=1e-4)


def test_rows_have_groups_of_their_own():
    """As GPTQ writes them."""
    groups = np.random.default_rng(0).permutation(np.arange(K, dtype=np.int32) // BLOCK)
    model, feeds = n_bits_model(4, groups=groups)
    assert_spelled_out(model, feeds, [ExpandMatMulNBits], tolerance=1e-4)
    model, _ = n_bits_model(4, groups=groups + np.int32(1))
    assert reason_against(ExpandMatMulNBits, model) == "its groups do not fit its weights"
    model, _ = n_bits_model(4, groups=groups, zero=full_range(np.uint8, N, -(-BLOCKS // 2)))
    reason = "its groups have zero points, which ONNX Runtime's CPU does not read"
    assert reason_against(ExpandMatMulNBits, model) == reason


def test_zero_points_may_be_floats():
    model, feeds = n_bits_model(4, zero=np.abs(normal(N, BLOCKS)) * 4)
    assert_spelled_out(model, feeds, [ExpandMatMulNBits], tolerance=1e-4)


def test_what_cannot_be_read_is_left():
    model, _ = n_bits_model(4, stored=("scales",))
    reason = "its weights are not stored in the model itself"
    assert reason_against(ExpandMatMulNBits, model) == reason
    model, _ = n_bits_model(4, attributes={"weight_prepacked": 1})
    reason = "its weights are packed for one GPU"
    assert reason_against(ExpandMatMulNBits, model) == reason
    model, _ = n_bits_model(4, attributes={"K": 48 + 16})
    reason = "its weights or scales are not as many as its sizes say"
    assert reason_against(ExpandMatMulNBits, model) == reason
