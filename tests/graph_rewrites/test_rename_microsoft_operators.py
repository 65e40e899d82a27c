import ml_dtypes
import numpy as np
import pytest

from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.expand_quantization import (
    ExpandDequantizeLinear,
    ExpandQuantizeLinear,
)
from pluginkit.graph_rewrites.rename_microsoft_operators import (
    ExpandCDist,
    ExpandExpandDims,
    ExpandMicrosoftPad,
    ExpandMicrosoftRange,
    RenameMicrosoftOperator,
    RenameMicrosoftUnique,
)
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import f32, i64, integers, normal

QUANTIZATION = [ExpandQuantizeLinear, ExpandDequantizeLinear, CarryIntegers]


@pytest.mark.parametrize(
    ("op_type", "inputs", "output", "attributes"),
    [
        ("Trilu", {"x": normal(2, 4, 5)}, ("float32", 3), {}),
        ("Trilu", {"x": normal(4, 5), "k": np.array(1)}, ("float32", 2), {"upper": 0}),
        ("GatherND", {"x": normal(4, 5, 3), "at": i64(1, 2)[None]}, ("float32", 2), {}),
        (
            "QuantizeLinear",
            {"x": normal(3, 4), "s": np.float32(0.02), "z": np.uint8(9)},
            ("uint8", 2),
            {},
        ),
        (
            "DequantizeLinear",
            {"x": integers(3, 4), "s": f32(0.1, 0.2, 0.3), "z": integers(3)},
            ("float32", 2),
            {"axis": 0},
        ),
    ],
)
def test_onnx_has_it_too(op_type, inputs, output, attributes):
    stored = [name for name in inputs if name != "x"]
    model = microsoft_model(op_type, inputs, {"y": output}, stored=stored, **attributes)
    rewrites = [RenameMicrosoftOperator, *QUANTIZATION]
    assert_spelled_out(model, feeds_of(model, inputs), rewrites)


def test_unique_values_come_in_the_order_of_their_first_occurrence():
    x = f32(3, 1, 3, 2, 1)
    outputs = {"y": ("float32", 1), "places": ("int64", 1), "counts": ("int64", 1)}
    model = microsoft_model("Unique", {"x": x}, outputs)
    assert_spelled_out(model, {"x": x}, [RenameMicrosoftUnique])
    old = microsoft_model("Unique", {"x": x}, outputs, opset=10)
    assert "since opset 11" in reason_against(RenameMicrosoftUnique, old)


def test_an_opset_without_it_is_left():
    model = microsoft_model("Trilu", {"x": normal(4, 5)}, {"y": ("float32", 2)}, opset=13)
    reason = "ONNX has it since opset 14; the model has 13"
    assert reason_against(RenameMicrosoftOperator, model) == reason


@pytest.mark.parametrize(("opset", "domain"), [(17, "com.microsoft"), (21, "")])
def test_four_bits_need_a_later_opset(opset, domain):
    inputs = {"x": normal(3, 4).astype(ml_dtypes.int4), "s": np.float32(0.1)}
    output = {"y": ("float32", 2)}
    model = microsoft_model("DequantizeLinear", inputs, output, stored=["x", "s"], opset=opset)
    result = rewrite_model(model, [RenameMicrosoftOperator])
    assert [each.domain for each in result.model.graph.node] == [domain]


@pytest.mark.parametrize("axis", [0, 2, -1])
def test_an_axis_is_inserted(axis):
    inputs = {"x": normal(2, 3), "axis": np.array(axis, np.int32)}
    model = microsoft_model("ExpandDims", inputs, {"y": ("float32", 3)}, stored=["axis"])
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandExpandDims])


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
def test_distances_of_rows(metric):
    inputs = {"a": normal(5, 3), "b": normal(4, 3)}
    dims = {"a": ("n", 3)}
    model = microsoft_model("CDist", inputs, {"y": ("float32", 2)}, dims=dims, metric=metric)
    assert_spelled_out(model, inputs, [ExpandCDist])


@pytest.mark.parametrize("delta", [None, np.array(2), i64(-1)])
def test_ranges_of_vectors_of_one(delta):
    inputs = {"start": i64(3), "limit": np.array(9 if delta is None or delta > 0 else -2)}
    inputs |= {} if delta is None else {"delta": delta}
    model = microsoft_model("Range", inputs, {"y": ("int64", 1)})
    assert_spelled_out(model, inputs, [ExpandMicrosoftRange])


@pytest.mark.parametrize(
    ("pads", "value"),
    [
        (i64(1, 0, 2, 1), np.float32([2.5])),
        (i64(1, 0, -1, 1)[None], np.float32(2.5)),
        (i64(0, 1, 1, 0)[None], None),
    ],
)
def test_pads_are_a_matrix_and_their_value_a_vector(pads, value):
    inputs = {"x": normal(3, 4), "pads": pads} | ({} if value is None else {"value": value})
    model = microsoft_model("Pad", inputs, {"y": ("float32", 2)})
    assert_spelled_out(model, inputs, [ExpandMicrosoftPad])


def test_pads_as_onnx_has_them_are_left():
    inputs = {"x": normal(3, 4), "pads": i64(1, 0, 2, 1)}
    model = microsoft_model("Pad", inputs, {"y": ("float32", 2)})
    reason = "TensorRT takes it: its pads are a vector, and its value is a scalar"
    assert reason_against(ExpandMicrosoftPad, model) == reason
