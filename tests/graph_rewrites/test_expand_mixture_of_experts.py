import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_mixture_of_experts import ExpandMoE, ExpandQMoE
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import normal

EXPERTS, HIDDEN, INNER = 4, 32, 16
SWIGLU = {"swiglu_fusion": 1, "activation_alpha": 1.7, "activation_beta": 1.0}


def experts(activation="relu", shape=(6, HIDDEN), dtype="float32"):
    wide = 2 * INNER if activation == "swiglu" else INNER
    inputs = {"x": normal(*shape), "scores": normal(int(np.prod(shape[:-1])), EXPERTS)}
    inputs |= {"first": normal(EXPERTS, wide, HIDDEN), "first_bias": normal(EXPERTS, wide)}
    inputs |= {"second": normal(EXPERTS, HIDDEN, INNER), "second_bias": normal(EXPERTS, HIDDEN)}
    return {name: each.astype(dtype) for name, each in inputs.items()}


def packed_experts(bits, block, *, with_zeros, activation="silu"):
    random = np.random.default_rng(0)
    wide = 2 * INNER if activation == "swiglu" else INNER
    inputs = {"x": normal(6, HIDDEN), "scores": normal(6, EXPERTS)}
    zeros = {}
    for name, rows, columns in (("first", wide, HIDDEN), ("second", HIDDEN, INNER)):
        shape = (EXPERTS, rows, columns * bits // 8)
        blocks = (columns // block,) if block else ()
        inputs[name] = random.integers(0, 256, shape, np.uint8)
        inputs[f"{name}_scales"] = random.random((EXPERTS, rows, *blocks), np.float32) / 9
        inputs[f"{name}_bias"] = None
        packed = (rows, -(-blocks[0] * bits // 8)) if block else (rows * bits // 8,)
        zeros[f"{name}_zeros"] = random.integers(0, 256, (EXPERTS, *packed), np.uint8)
    unused = dict.fromkeys(("third", "third_scales", "third_bias"))
    return inputs | (unused | zeros if with_zeros else {})


def moe_model(inputs, op_type="MoE", rank=2, **options):
    outputs = {"out": (inputs["x"].dtype.name, rank)}
    options.setdefault("dims", {"x": ("n", *inputs["x"].shape[1:])})
    return microsoft_model(op_type, inputs, outputs, **{"k": 2, **options})


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "identity"])
def test_the_best_experts_are_weighted_by_the_softmax_of_all(activation):
    inputs = experts()
    model = moe_model(inputs, activation_type=activation)
    assert_spelled_out(model, inputs, [ExpandMoE], tolerance=3e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"k": 1},
        {"k": 4, "normalize_routing_weights": 1},
        {"activation_type": "swiglu", **SWIGLU},
        {"activation_type": "swiglu", "swiglu_limit": 0.5, **SWIGLU},
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_experts_have_gates_and_weights_of_their_own(options, dtype):
    inputs = experts(options.get("activation_type", "relu"), dtype=dtype)
    if dtype == "float16":
        inputs |= {name: inputs[name] / np.float16(4) for name in ("first", "second")}
    model = moe_model(inputs, **options)
    tolerance = 3e-5 if dtype == "float32" else 2e-2
    assert_spelled_out(model, inputs, [ExpandMoE], tolerance=tolerance)


def test_rows_have_several_axes_and_experts_no_bias():
    inputs = experts(shape=(2, 3, HIDDEN)) | {"first_bias": None, "second_bias": None}
    model = moe_model(inputs, rank=3)
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandMoE], tolerance=3e-5)


def test_weights_of_earlier_models_have_other_shapes():
    """ONNX Runtime reads them as if they had the shapes of later ones."""
    inputs = experts()
    inputs |= {name: inputs[name].transpose(0, 2, 1).copy() for name in ("first", "second")}
    assert_spelled_out(moe_model(inputs), inputs, [ExpandMoE], tolerance=3e-5)


@pytest.mark.parametrize(("bits", "block"), [(4, 0), (8, 0), (4, 16)])
@pytest.mark.parametrize("with_zeros", [False, True])
def test_packed_weights_are_decoded(bits, block, with_zeros):
    inputs = packed_experts(bits, block, with_zeros=with_zeros)
    stored = [name for name, each in inputs.items() if each is not None][2:]
    options = {"block_size": block} if block else {}
    model = moe_model(
        inputs, "QMoE", stored=stored, activation_type="silu", expert_weight_bits=bits, **options
    )
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandQMoE], tolerance=1e-3)


def test_blocks_have_scales_of_their_own():
    """ONNX Runtime is no measure: with blocks of 8-bit weights it rounds the input to 8 bits."""
    whole = packed_experts(8, 0, with_zeros=False)
    counts = {"first_scales": HIDDEN // 16, "second_scales": INNER // 16}
    parts = whole | {
        name: np.repeat(whole[name][..., None], count, 2) for name, count in counts.items()
    }
    made = []
    for inputs, block in ((whole, 0), (parts, 16)):
        stored = [name for name, each in inputs.items() if each is not None][2:]
        options = {"block_size": block} if block else {}
        model = moe_model(inputs, "QMoE", stored=stored, expert_weight_bits=8, **options)
        result = rewrite_model(model, [ExpandQMoE])
        made.append(run_onnxruntime(result.model, feeds_of(model, inputs))["out"])
    np.testing.assert_array_equal(made[0], made[1])


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        ("its activation 'geglu' is not known", {"activation_type": "geglu"}),
        ("it chooses experts by a sparse mixer", {"use_sparse_mixer": 1}),
        ("the number of its experts is unknown, or not as many are chosen", {"k": 5}),
        (
            "its gates are not interleaved, as those of ONNX Runtime's CPU are",
            {"activation_type": "swiglu"},
        ),
        (
            "it limits its gates after their activation",
            {"swiglu_limit_after_activation": 1},
        ),
        (
            "the sizes of its weights are unknown, or do not fit its input",
            {"dims": {"x": (6, "n")}},
        ),
    ],
)
def test_other_mixtures_are_left(reason, options):
    assert reason_against(ExpandMoE, moe_model(experts(), **options)) == reason


@pytest.mark.parametrize(
    ("reason", "options"),
    [
        (
            "TensorRT takes it: its experts come in blocks of 128",
            {"activation_type": "swiglu", "block_size": 128},
        ),
        ("its weights are no integers", {"quant_type": "fp8"}),
        ("its weights have not all 2, 4 or 8 bits", {"expert_weight_bits": 3}),
        (
            "its weights are not stored in the model itself, or fit no scales",
            {"block_size": 8},
        ),
    ],
)
def test_other_packed_mixtures_are_left(reason, options):
    inputs = packed_experts(8, 0, with_zeros=False)
    stored = [name for name, each in inputs.items() if each is not None][2:]
    model = moe_model(inputs, "QMoE", stored=stored, **options)
    assert reason_against(ExpandQMoE, model) == reason
