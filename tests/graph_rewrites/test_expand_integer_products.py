"""MatMulInteger, ConvInteger and their QLinear forms: exact sums of products of 8-bit integers."""

import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_integer_convolutions import (
    ExpandConvInteger,
    ExpandQLinearConv,
)
from pluginkit.graph_rewrites.expand_integer_products import (
    ExpandMatMulInteger,
    ExpandQLinearMatMul,
)
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import outputs_of, reason_against, rewritten, with_unknown_type
from tests.graph_rewrites.samples import f32, integers, node_model

U8, I8 = np.dtype(np.uint8), np.dtype(np.int8)


def any_of(dtype, *shape):
    info = np.iinfo(dtype)
    return integers(*shape, dtype=dtype, low=info.min, high=info.max)


def limits(dtype, *shape):
    """Only the least and the greatest number, whose products are the largest."""
    info = np.iinfo(dtype)
    return np.where(integers(*shape, high=1) == 1, info.max, info.min).astype(dtype)


@pytest.mark.parametrize("length", [1, 258, 259, 1000])
@pytest.mark.parametrize("draw", [any_of, limits])
@pytest.mark.parametrize(("a_type", "b_type"), [(U8, U8), (U8, I8), (I8, I8)])
def test_matmul_is_exact_at_every_length(length, draw, a_type, b_type):
    a, b = draw(a_type, 2, 3, length), draw(b_type, length, 4)
    a_zero, b_zero = np.array(np.iinfo(a_type).max, a_type), np.array(np.iinfo(b_type).min, b_type)
    feeds = {"a": a, "b": b, "a zero": a_zero, "b zero": b_zero}
    (got,) = outputs_of(ExpandMatMulInteger, node_model("MatMulInteger", feeds, opset=10), feeds)
    wide = [each.astype(np.int64) for each in (a, a_zero, b, b_zero)]
    np.testing.assert_array_equal(got, (wide[0] - wide[1]) @ (wide[2] - wide[3]))


def test_matmul_has_a_zero_point_for_each_row_and_column():
    feeds = {
        "a": any_of(U8, 3, 5),
        "b": any_of(I8, 5, 4),
        "a zero": any_of(U8, 3),
        "b zero": any_of(I8, 4),
    }
    (got,) = outputs_of(ExpandMatMulInteger, node_model("MatMulInteger", feeds), feeds)
    a, b, a_zero, b_zero = (each.astype(np.int64) for each in feeds.values())
    np.testing.assert_array_equal(got, (a - a_zero[:, None]) @ (b - b_zero))


@pytest.mark.parametrize(("left", "right"), [((2, 3, 300), (300,)), ((300,), (300, 4))])
def test_a_vector_is_a_row_or_a_column(left, right):
    feeds = {"a": any_of(U8, *left), "b": any_of(I8, *right), "a zero": U8.type(7)}
    (got,) = outputs_of(ExpandMatMulInteger, node_model("MatMulInteger", feeds), feeds)
    a, b = (feeds[each].astype(np.int64) for each in "ab")
    np.testing.assert_array_equal(got, (a - 7) @ b)


def test_sums_are_cut_where_they_would_not_be_exact():
    def products(length):
        feeds = {"a": any_of(U8, 3, length), "b": any_of(U8, length, 4)}
        model = rewritten(ExpandMatMulInteger, node_model("MatMulInteger", feeds))
        return sum(node.op_type == "MatMul" for node in model.graph.node)

    assert [products(length) for length in (258, 259, 516, 517)] == [1, 2, 2, 3]


def test_an_unknown_length_is_left():
    feeds = {"a": any_of(U8, 3, 5), "b": any_of(U8, 5, 4)}
    dims = {"a": [3, "k"], "b": ["k", 4]}
    reason = reason_against(ExpandMatMulInteger, node_model("MatMulInteger", feeds, dims=dims))
    assert "so that none is known to be exact" in reason


@pytest.mark.parametrize(
    ("channels", "group", "options"),
    [
        (3, 1, {"pads": [1, 1, 0, 1], "strides": [2, 1]}),
        (64, 1, {"auto_pad": "SAME_UPPER"}),
        (8, 4, {"dilations": [2, 1]}),
    ],
)
@pytest.mark.parametrize("dtype", [U8, I8])
def test_conv_is_what_onnxruntime_gives(channels, group, options, dtype):
    feeds = {
        "x": limits(dtype, 1, channels, 7, 8),
        "w": limits(dtype, 4, channels // group, 3, 3),
        "x zero": np.array(np.iinfo(dtype).max, dtype),
        "w zero": np.array(np.iinfo(dtype).min, dtype),
    }
    model = node_model("ConvInteger", feeds, stored=["w"], opset=10, group=group, **options)
    expected = reference_of_conv(feeds, group, options)
    del feeds["w"]
    (got,) = outputs_of(ExpandConvInteger, model, feeds)
    np.testing.assert_array_equal(got, expected)


def test_a_signal_is_convolved_as_an_image_one_element_high():
    feeds = {"x": any_of(U8, 2, 4, 9), "w": any_of(I8, 6, 2, 3), "x zero": any_of(U8, 1)}
    options = {"group": 2, "pads": [2, 1], "strides": [2], "dilations": [2]}
    model = node_model("ConvInteger", feeds, stored=["w"], opset=10, **options)
    image = {"pads": [0, 2, 0, 1], "strides": [1, 2], "dilations": [1, 2]}
    high = {name: feeds[name][:, :, None] for name in ("x", "w")}
    expected = reference_of_conv({**feeds, **high, "w zero": np.int8(0)}, 2, image)
    del feeds["w"]
    (got,) = outputs_of(ExpandConvInteger, model, feeds)
    np.testing.assert_array_equal(got, expected[:, :, 0])
    made = rewritten(ExpandConvInteger, model)
    (conv,) = [node for node in made.graph.node if node.op_type == "Conv"]
    pads = next(each.ints for each in conv.attribute if each.name == "pads")
    assert list(pads) == [0, 2, 0, 1]


def test_each_output_channel_has_its_own_zero_point():
    feeds = {
        "x": any_of(U8, 2, 3, 5, 6),
        "w": any_of(I8, 4, 3, 2, 2),
        "x zero": any_of(U8, 1),
        "w zero": np.array([1, -7, 100, 0], np.int8),
    }
    model = node_model("ConvInteger", feeds)
    spread = {**feeds, "w zero": feeds["w zero"][:, None, None, None]}
    expected = reference_of_conv(spread, 1, {})
    np.testing.assert_array_equal(outputs_of(ExpandConvInteger, model, feeds)[0], expected)


def reference_of_conv(feeds, group, options):
    """A convolution in float64, where every such sum is exact."""
    x, w, x_zero, w_zero = (each.astype(np.float64) for each in feeds.values())
    centered = {"x": x - x_zero, "w": w - w_zero}
    model = node_model("Conv", centered, opset=11, group=group, **options)
    return run_onnxruntime(model, centered)["y"].astype(np.int64)


def test_sums_of_a_group_that_cannot_be_cut_are_left():
    feeds = {"x": any_of(U8, 1, 128, 7, 7), "w": any_of(U8, 4, 64, 3, 3)}
    reason = reason_against(ExpandConvInteger, node_model("ConvInteger", feeds, group=2))
    assert reason == "float32 sums up 258 products exactly; the sums are longer"
    feeds = {"x": any_of(U8, 1, 1, 40, 40), "w": any_of(U8, 4, 1, 17, 17)}
    assert "the sums are longer" in reason_against(
        ExpandConvInteger, node_model("ConvInteger", feeds)
    )


@pytest.mark.parametrize("dtype", [U8, I8])
@pytest.mark.parametrize("length", [40, 400])
def test_qlinear_matmul_is_what_onnxruntime_gives(dtype, length):
    middle = np.array((int(np.iinfo(dtype).min) + int(np.iinfo(dtype).max)) // 2 + 3, dtype)
    feeds = {
        "a": any_of(dtype, 6, length),
        "a scale": f32(0.02),
        "a zero": middle,
        "b": any_of(dtype, length, 7),
        "b scale": f32(0.031),
        "b zero": middle,
        "y scale": f32(0.37),
        "y zero": middle,
    }
    model = node_model("QLinearMatMul", feeds, opset=10)
    (got,) = outputs_of(ExpandQLinearMatMul, model, feeds)
    np.testing.assert_array_equal(got, run_onnxruntime(model, feeds)["y"])
    assert len(np.unique(got)) > 5


@pytest.mark.parametrize("dtype", [U8, I8])
@pytest.mark.parametrize("opset", [10, 13])
def test_qlinear_conv_is_what_onnxruntime_gives(dtype, opset):
    feeds = {
        "x": any_of(dtype, 2, 6, 9, 8),
        "x scale": f32(0.02),
        "x zero": any_of(dtype),
        # Where a CPU lacks VNNI, ONNX Runtime adds pairs of products in 16 bits, which saturate.
        "w": integers(4, 6, 3, 3, dtype=I8, low=-64, high=63),
        "w scale": f32(0.01, 0.02, 0.03, 0.04),
        "w zero": np.zeros(4, np.int8),
        "y scale": f32(0.31),
        "y zero": any_of(dtype),
        "bias": integers(4, dtype=np.int32, low=-9000, high=9000),
    }
    stored = ["w", "w scale", "w zero", "bias"]
    model = node_model("QLinearConv", feeds, stored=stored, opset=opset, pads=[1, 1, 0, 0])
    feeds = {name: array for name, array in feeds.items() if name not in stored}
    (got,) = outputs_of(ExpandQLinearConv, model, feeds)
    np.testing.assert_array_equal(got, run_onnxruntime(model, feeds)["y"])
    assert len(np.unique(got)) > 5


@pytest.mark.parametrize("opset", [10, 11])
def test_halves_are_rounded_to_even(opset):
    feeds = {
        "a": np.arange(20, dtype=np.uint8)[:, None],
        "a scale": f32(0.5),
        "a zero": np.uint8(9),
        "b": np.ones((1, 1), np.uint8),
        "b scale": f32(1),
        "b zero": np.uint8(0),
        "y scale": f32(1),
        "y zero": np.uint8(3),
    }
    model = node_model("QLinearMatMul", feeds, opset=opset)
    (got,) = outputs_of(ExpandQLinearMatMul, model, feeds)
    expected = [max(round((each - 9) / 2) + 3, 0) for each in range(20)]
    np.testing.assert_array_equal(got[:, 0], expected)


def test_an_unknown_scale_shape_is_left():
    feeds = {
        "a": any_of(U8, 3, 5),
        "a scale": f32(1),
        "a zero": np.uint8(0),
        "b": any_of(U8, 5, 4),
        "b scale": f32(1),
        "b zero": np.uint8(0),
        "y scale": f32(1),
        "y zero": np.uint8(0),
    }
    model = with_unknown_type(node_model("QLinearMatMul", feeds, opset=21), "a scale")
    assert reason_against(ExpandQLinearMatMul, model) == "the rank of an input is unknown"
