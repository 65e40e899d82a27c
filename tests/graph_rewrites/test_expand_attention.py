import numpy as np
import pytest

from pluginkit.errors import ModelError
from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.expand_attention import ExpandAttention, ExpandQAttention
from pluginkit.graph_rewrites.expand_quantization import ExpandDequantizeLinear
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import integers, normal

#: Two sequences of five elements, in four heads; three elements of the past.
X = normal(2, 5, 16)
INT = np.int32
MASKS = {
    "none": None,
    "lengths": np.array([3, 5], INT),
    "bounds": np.array([4, 5, 1, 0], INT),
    "keys": np.array([[1, 1, 0, 1, 1], [0, 1, 1, 1, 0]], INT),
    "pairs": integers(2, 5, 5, dtype=INT, high=1),
}
MASKS_WITH_PAST = {
    "none": None,
    "lengths": np.array([8, 6], INT),
    "keys": integers(2, 8, dtype=INT, high=1),
    "pairs": integers(2, 5, 8, dtype=INT, high=1),
}


def attention_model(inputs, outputs=None, dtype="float32", **options):
    given = {"num_heads": 4, **options}
    outputs = outputs or {"y": (dtype, 3)}
    return microsoft_model("Attention", inputs, outputs, stored=["w", "b"], **given)


def arrays(dtype="float32", **others):
    weights, bias = normal(16, 48) / 4, normal(48) / 4
    order = ("mask", "past", "score_bias")
    found = {"x": X, "w": weights, "b": bias} | {name: others.get(name) for name in order}
    return {
        name: a.astype(dtype) if a is not None and a.dtype.kind == "f" else a
        for name, a in found.items()
    }


@pytest.mark.parametrize(("dtype", "is_causal"), [("float32", 0), ("float32", 1), ("float16", 0)])
@pytest.mark.parametrize("mask", MASKS)
def test_masks_hide_keys(dtype, mask, is_causal):
    inputs = arrays(dtype, mask=MASKS[mask])
    model = attention_model(inputs, dtype=dtype, unidirectional=is_causal)
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandAttention])


@pytest.mark.parametrize("is_causal", [0, 1])
@pytest.mark.parametrize("mask", MASKS_WITH_PAST)
def test_the_past_comes_first(mask, is_causal):
    inputs = arrays(mask=MASKS_WITH_PAST[mask], past=normal(2, 2, 4, 3, 4))
    outputs = {"y": ("float32", 3), "present": ("float32", 5)}
    options = {"unidirectional": is_causal, "mask_filter_value": -500.0, "scale": 0.3}
    model = attention_model(inputs, outputs, **options)
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandAttention])


@pytest.mark.parametrize("opset", [11, 21])
def test_sizes_may_vary(opset):
    """The batch, the sequence and the past, with a mask that names the batch."""
    inputs = arrays(mask=np.array([3, 5], INT))
    dims = {"x": ("batch", "length", 16), "mask": ("batch",)}
    model = attention_model(inputs, dims=dims, opset=opset, unidirectional=1)
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandAttention])
    inputs = arrays(mask=MASKS_WITH_PAST["keys"], past=normal(2, 2, 4, 3, 4))
    dims = {"x": ("batch", "length", 16), "mask": (None, None), "past": (2, "batch", 4, "p", 4)}
    outputs = {"y": ("float32", 3), "present": ("float32", 5)}
    model = attention_model(inputs, outputs, dims=dims, opset=opset, unidirectional=1)
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandAttention])


@pytest.mark.parametrize("mask", ["lengths", "bounds"])
def test_whether_a_vector_has_bounds_may_only_show_when_it_runs(mask):
    inputs = arrays(mask=MASKS[mask])
    model = attention_model(inputs, dims={"x": ("n", 5, 16), "mask": ("m",)})
    made = assert_spelled_out(model, feeds_of(model, inputs), [ExpandAttention])
    with pytest.raises(ModelError, match="PK441"):
        run_onnxruntime(made, {"x": X, "mask": np.arange(8, dtype=INT)})


@pytest.mark.parametrize("shape", [(2, 4, 5, 5), (1, 4, 5, 5), (1, 1, 5, 5)])
def test_scores_have_a_bias(shape):
    inputs = arrays(mask=MASKS["keys"], score_bias=normal(*shape))
    model = attention_model(inputs)
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandAttention])


def test_values_may_be_of_another_size():
    inputs = {"x": X, "w": normal(16, 8 + 8 + 24), "b": normal(40)}
    model = attention_model(inputs, qkv_hidden_sizes=[8, 8, 24])
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandAttention])


def test_what_is_not_known_is_left():
    model = attention_model(arrays(mask=np.array([3, 5, 1], INT)))
    reason = "its mask has 3 elements; expected 2, or 4"
    assert reason_against(ExpandAttention, model) == reason
    model = attention_model(arrays(mask=np.ones((2, 1, 7, 7), INT)))
    reason = "its mask has four axes, which ONNX Runtime's CPU does not take"
    assert reason_against(ExpandAttention, model) == reason
    model = attention_model(arrays(), do_rotary=1)
    assert reason_against(ExpandAttention, model) == "it rotates queries and keys"
    model = attention_model(arrays(), num_heads=5)
    reason = "the sizes of its weights are unknown, or do not make its heads"
    assert reason_against(ExpandAttention, model) == reason
    model = attention_model(arrays(), past_present_share_buffer=1)
    assert reason_against(ExpandAttention, model) == "the past and the present share a buffer"


@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("weight_type", [np.int8, np.uint8])
def test_quantized_attention(per_column, weight_type):
    columns = 48 if per_column else 1
    scale = np.abs(normal(columns)) / 100 + 0.001
    inputs = {
        "x": integers(2, 5, 16),
        "w": integers(16, 48, dtype=weight_type, low=0, high=60),
        "bias": normal(48),
        "x_scale": np.float32(0.02),
        "w_scale": scale if per_column else np.float32(scale[0]),
        "mask": np.array([3, 5], INT),
        "x_zero": np.uint8(120),
        "w_zero": np.full(48, 30, weight_type) if per_column else weight_type(30),
    }
    model = microsoft_model(
        "QAttention",
        inputs,
        {"y": ("float32", 3)},
        stored=["w", "bias", "w_scale", "w_zero", "x_scale", "x_zero"],
        num_heads=4,
    )
    rewrites = [ExpandQAttention, ExpandAttention, ExpandDequantizeLinear, CarryIntegers]
    assert_spelled_out(model, feeds_of(model, inputs), rewrites, tolerance=1e-4)
