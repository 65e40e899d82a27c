import numpy as np
import pytest

from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.expand_integer_convolutions import ExpandQLinearConv
from pluginkit.graph_rewrites.expand_integer_products import ExpandMatMulInteger
from pluginkit.graph_rewrites.expand_quantization import (
    ExpandDequantizeLinear,
    ExpandDynamicQuantizeLinear,
    ExpandQuantizeLinear,
)
from pluginkit.graph_rewrites.expand_quantized_operators import (
    ExpandNhwcQLinearConv,
    ExpandQLinearBinary,
    ExpandQLinearConcat,
    ExpandQLinearUnary,
    ExpandQLinearWhere,
)
from pluginkit.graph_rewrites.expand_quantized_products import (
    ExpandDynamicQuantizeMatMul,
    ExpandLongQLinearMatMul,
    ExpandMatMulIntegerToFloat,
    ExpandQGemm,
)
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import full_range, integers, normal

QUANTIZATION = [
    *(ExpandDequantizeLinear, ExpandQuantizeLinear, ExpandDynamicQuantizeLinear),
    *(ExpandMatMulInteger, ExpandQLinearConv, CarryIntegers),
]
#: The type and the zero points of two inputs and the output: ONNX Runtime's CPU needs them all.
TYPES = [(np.uint8, 130, 7, 100), (np.int8, 0, 0, 0), (np.int8, -9, 4, 20)]


def quantized(name, dtype, shape, scale, zero):
    """Return an input with its scale and its zero point."""
    return {
        name: full_range(dtype, *shape),
        f"{name}_scale": np.float32(scale),
        f"{name}_zero": None if zero is None else dtype(zero),
    }


def target(dtype, scale, zero):
    return {"y_scale": np.float32(scale), "y_zero": None if zero is None else dtype(zero)}


def assert_taken_apart(rewrite, op_type, inputs, output, **options):
    options.setdefault("opset", 13)
    stored = [
        name
        for name, each in inputs.items()
        if each is not None and ("_scale" in name or "_zero" in name or name in ("w", "c"))
    ]
    model = microsoft_model(op_type, inputs, {"y": output}, stored=stored, **options)
    tolerance = 1e-4 if output[0] == "float32" else 0.0
    assert_spelled_out(
        model, feeds_of(model, inputs), [rewrite, *QUANTIZATION], units=1, tolerance=tolerance
    )


@pytest.mark.parametrize(("dtype", "of_a", "of_b", "of_y"), TYPES)
@pytest.mark.parametrize("op_type", ["QLinearAdd", "QLinearMul"])
def test_sums_and_products(op_type, dtype, of_a, of_b, of_y):
    inputs = quantized("a", dtype, (2, 3, 4), 0.03, of_a)
    inputs |= quantized("b", dtype, (3, 4), 0.05, of_b) | target(dtype, 0.07, of_y)
    assert_taken_apart(ExpandQLinearBinary, op_type, inputs, (dtype, 3), dims={"a": ("n", 3, 4)})


@pytest.mark.parametrize(("dtype", "zero"), [(np.uint8, 131), (np.int8, -9)])
@pytest.mark.parametrize(
    ("rewrite", "op_type", "attributes"),
    [
        (ExpandQLinearBinary, "QLinearAdd", {}),
        (ExpandQLinearBinary, "QLinearMul", {}),
        (ExpandQLinearUnary, "QLinearAveragePool", {"kernel_shape": [2, 2]}),
    ],
)
def test_halves_are_rounded_after_an_odd_zero_point_is_added(
    rewrite, op_type, attributes, dtype, zero
):
    inputs = quantized("a", dtype, (2, 3, 16, 16), 0.25, 7)
    if not attributes:
        inputs |= quantized("b", dtype, (3, 16, 16), 0.5, 4)
    inputs |= target(dtype, 0.5 if attributes else 1.0, zero)
    stored = [name for name in inputs if "_scale" in name or "_zero" in name]
    output = {"y": (dtype, 4)}
    model = microsoft_model(op_type, inputs, output, stored=stored, **attributes)
    assert_spelled_out(model, feeds_of(model, inputs), [rewrite, *QUANTIZATION])


@pytest.mark.parametrize(("dtype", "of_x", "_", "of_y"), TYPES)
@pytest.mark.parametrize(
    ("op_type", "scale", "attributes"),
    [
        ("QLinearSigmoid", 1 / 256, {}),
        ("QLinearLeakyRelu", 0.04, {"alpha": 0.2}),
        ("QLinearSoftmax", 1 / 256, {"axis": 1, "opset": 13}),
        ("QLinearSoftmax", 1 / 256, {"axis": -1, "opset": 12}),
        ("QLinearSoftmax", 1 / 256, {"opset": 12}),
        ("QLinearGlobalAveragePool", 0.02, {"channels_last": 0}),
        ("QLinearGlobalAveragePool", 0.02, {"channels_last": 1}),
        ("QLinearAveragePool", 0.03, {"kernel_shape": [2, 3], "pads": [1, 0, 0, 1]}),
        (
            "QLinearAveragePool",
            0.03,
            {"kernel_shape": [2, 2], "strides": [2, 1], "count_include_pad": 1, "channels_last": 1},
        ),
    ],
)
def test_functions_of_one_input(op_type, scale, attributes, dtype, of_x, _, of_y):
    inputs = quantized("x", dtype, (2, 3, 5, 6), 0.05, of_x) | target(dtype, scale, of_y)
    given = {f"attribute_{name}" if name == "opset" else name: v for name, v in attributes.items()}
    opset = given.pop("attribute_opset", None)
    model_options = {"dims": {"x": ("n", 3, 5, 6)}, **given}
    stored = [name for name, each in inputs.items() if each is not None and name != "x"]
    model = microsoft_model(op_type, inputs, {"y": (dtype, 4)}, stored=stored, **model_options)
    if opset is not None:
        attribute = model.graph.node[0].attribute.add(name="opset", type=2)
        attribute.i = opset
    rewrites = [ExpandQLinearUnary, *QUANTIZATION]
    assert_spelled_out(model, feeds_of(model, inputs), rewrites, units=1)


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize(("dtype", "zero"), [(np.uint8, 3), (np.int8, -128)])
def test_a_softmax_has_a_whole_number_of_steps(dtype, zero, is_stored):
    inputs = quantized("x", dtype, (64, 7), 0.03, 5) | target(dtype, 1 / 255, zero)
    stored = [name for name in inputs if name != "x" and (is_stored or name != "y_scale")]
    model = microsoft_model("QLinearSoftmax", inputs, {"y": (dtype, 2)}, stored=stored, axis=-1)
    model.graph.node[0].attribute.add(name="opset", type=2, i=13)
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandQLinearUnary, *QUANTIZATION])


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_a_softmax_of_earlier_opsets_is_over_several_axes(axis):
    inputs = quantized("x", np.uint8, (2, 3, 4), 0.05, 3) | target(np.uint8, 1 / 256, 0)
    stored = [name for name in inputs if name != "x"]
    model = microsoft_model("QLinearSoftmax", inputs, {"y": ("uint8", 3)}, stored=stored, axis=axis)
    model.graph.node[0].attribute.add(name="opset", type=2, i=11)
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandQLinearUnary, *QUANTIZATION])
    model.graph.input[0].type.tensor_type.ClearField("shape")
    reason = "its softmax is over several axes, or over an axis that is not known"
    assert reason_against(ExpandQLinearUnary, model) == reason


@pytest.mark.parametrize(("dtype", "of_a", "of_b", "of_y"), TYPES)
def test_concatenations(dtype, of_a, of_b, of_y):
    inputs = target(dtype, 0.06, of_y) | quantized("a", dtype, (2, 3), 0.03, of_a)
    inputs |= quantized("b", dtype, (2, 5), 0.05, of_b)
    assert_taken_apart(ExpandQLinearConcat, "QLinearConcat", inputs, (dtype, 2), axis=1)


@pytest.mark.parametrize(("dtype", "of_a", "of_b", "of_y"), TYPES)
def test_choices(dtype, of_a, of_b, of_y):
    inputs = {"condition": normal(2, 3) > 0} | quantized("a", dtype, (2, 3), 0.03, of_a)
    inputs |= quantized("b", dtype, (2, 3), 0.05, of_b) | target(dtype, 0.06, of_y)
    assert_taken_apart(ExpandQLinearWhere, "QLinearWhere", inputs, (dtype, 2))


@pytest.mark.parametrize("channels_last", [0, 1])
def test_convolutions(channels_last):
    shape = (2, 6, 5, 4) if channels_last else (2, 4, 6, 5)
    inputs = quantized("x", np.uint8, shape, 0.03, 120)
    inputs |= {"w": integers(3, 4, 3, 3, dtype=np.int8, low=-60, high=60)}
    inputs |= {"w_scale": np.float32(0.01), "w_zero": np.int8(0)} | target(np.uint8, 0.2, 110)
    inputs |= {"c": integers(3, dtype=np.int32, low=-500, high=500)}
    assert_taken_apart(
        ExpandNhwcQLinearConv,
        "QLinearConv",
        inputs,
        ("uint8", 4),
        channels_last=channels_last,
        pads=[1, 1, 0, 0],
    )


@pytest.mark.parametrize("is_quantized", [True, False])
@pytest.mark.parametrize("per_column", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize(
    "flags", [{"transB": 1}, {"alpha": 0.5}, {"transA": 1, "transB": 1, "alpha": 2.0}]
)
def test_gemm(flags, dtype, per_column, is_quantized):
    low, high = (0, 100) if dtype == np.uint8 else (-60, 60)
    a, w = (7, 3) if "transA" in flags else (3, 7), (5, 7) if "transB" in flags else (7, 5)
    scale = np.abs(normal(5)) / 50 + 0.01
    inputs = quantized("a", np.uint8, a, 0.03, 120)
    inputs |= {
        "w": integers(*w, dtype=dtype, low=low, high=high),
        "w_scale": scale if per_column else np.float32(0.02),
        "w_zero": np.full(5, high // 2, dtype) if per_column else dtype(high // 2),
        "c": integers(5, dtype=np.int32, low=-500, high=500),
    }
    if is_quantized:
        inputs |= target(np.uint8, 0.3, 100)
    output = ("uint8" if is_quantized else "float32", 2)
    assert_taken_apart(ExpandQGemm, "QGemm", inputs, output, **flags)


@pytest.mark.parametrize("per_column", [True, False])
@pytest.mark.parametrize("optional", ["", "zero", "bias", "zero bias"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_dynamically_quantized_products(dtype, optional, per_column):
    low, high = (0, 100) if dtype == np.uint8 else (-60, 60)
    scale = np.abs(normal(5)) / 50 + 0.01 if per_column else np.float32(0.02)
    zero = np.full(5, high // 3, dtype) if per_column else dtype(high // 3)
    inputs = {
        "a": normal(2, 4, 7),
        "w": integers(7, 5, dtype=dtype, low=low, high=high),
        "w_scale": scale,
        "w_zero": zero if "zero" in optional else None,
        "c": normal(5) if "bias" in optional else None,
    }
    assert_taken_apart(
        ExpandDynamicQuantizeMatMul,
        "DynamicQuantizeMatMul",
        inputs,
        ("float32", 3),
        dims={"a": ("n", None, 7)},
    )
    inputs = {
        **quantized("a", np.uint8, (2, 4, 7), 0.03, 120 if "zero" in optional else None),
        **inputs,
        "a": full_range(np.uint8, 2, 4, 7),
    }
    order = ("a", "w", "a_scale", "w_scale", "a_zero", "w_zero", "c")
    assert_taken_apart(
        ExpandMatMulIntegerToFloat,
        "MatMulIntegerToFloat",
        {name: inputs[name] for name in order},
        ("float32", 3),
    )


@pytest.mark.parametrize(("dtype", "of_a", "of_b", "of_y"), TYPES)
def test_products_of_varying_length(dtype, of_a, of_b, of_y):
    inputs = quantized("a", dtype, (2, 4, 7), 0.03, of_a)
    inputs |= quantized("b", dtype, (2, 7, 5), 0.02, of_b) | target(dtype, 0.3, of_y)
    dims = {"a": ("n", 4, "k"), "b": ("n", "k", 5)}
    assert_taken_apart(
        ExpandLongQLinearMatMul, "QLinearMatMul", inputs, (dtype, 3), dims=dims, domain=""
    )


def test_products_of_known_length_are_left():
    inputs = quantized("a", np.uint8, (4, 7), 0.03, 1) | quantized("b", np.uint8, (7, 5), 0.02, 2)
    inputs |= target(np.uint8, 0.3, 3)
    model = microsoft_model("QLinearMatMul", inputs, {"y": ("uint8", 2)}, domain="")
    reason = "the length of its sums is known"
    assert reason_against(ExpandLongQLinearMatMul, model) == reason
