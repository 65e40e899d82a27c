import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from pluginkit.graph_rewrites.expand_resize import ExpandResize
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import f32, i64, node_model, normal

#: The inputs that opset 11 wants.
EMPTY = {name: np.zeros(0, np.float32) for name in ("roi", "scales")}
CROP = {"coordinate_transformation_mode": "tf_crop_and_resize"}


def resize_model(x, stored=None, opset=19, dims=None, **attributes):
    inputs = {"x": x, "roi": None, "scales": None, "sizes": None}
    inputs = {**inputs, **attributes.pop("inputs")}
    while inputs and inputs[[*inputs][-1]] is None:
        inputs.popitem()
    if stored is None:
        stored = [name for name in inputs if name != "x" and inputs[name] is not None]
    return node_model(
        "Resize", inputs, stored=stored, opset=opset, dims=dims, ranks={"y": x.ndim}, **attributes
    )


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("size", [1, 2, 7, 20])
def test_crops_are_those_of_onnxruntime(mode, size):
    x = normal(2, 3, 6, 11)
    roi = f32(0, 0, -0.2, 0.31, 1, 1, 0.9, 1.17)
    inputs = {"roi": roi, "sizes": i64(2, 3, size, size)}
    model = resize_model(x, inputs=inputs, mode=mode, extrapolation_value=9.5, **CROP)
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    expected = run_onnxruntime(model, {"x": x})["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)  # its coordinates are float32
    assert (got == 9.5).any() or size < 7


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_an_axis_that_a_crop_keeps_whole_may_have_any_size(mode):
    inputs = {"roi": f32(0, 0, -0.2, 0.31, 1, 1, 0.9, 1.17), "scales": f32(1, 1, 0.5, 1.5)}
    x, dims = normal(2, 3, 6, 11), {"x": ("n", "c", 6, 11)}
    model = resize_model(x, inputs=inputs, mode=mode, dims=dims, **CROP)
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    expected = run_onnxruntime(model, {"x": x})["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_what_is_kept_whole_is_not_touched():
    """A crop of everything to the same size is the input, NaN and infinities included."""
    x = normal(1, 2, 4, 4)
    x[0, 0, 0] = [np.nan, np.inf, -np.inf, -0.0]
    inputs = {"roi": f32(0, 0, 0, 0, 1, 1, 1, 1), "sizes": i64(1, 2, 4, 4)}
    model = resize_model(x, inputs=inputs, mode="linear", **CROP)
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    np.testing.assert_array_equal(got, x)


@pytest.mark.parametrize(
    "nearest_mode", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
)
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
def test_nearest_moves_values_of_any_type(nearest_mode, dtype):
    x = np.arange(2 * 10 * 12).reshape(1, 2, 10, 12).astype(dtype)
    mode = {"coordinate_transformation_mode": "half_pixel_symmetric"}
    model = resize_model(
        x, inputs={"scales": f32(1, 1, 0.55, 2.5)}, nearest_mode=nearest_mode, **mode
    )
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == dtype


@pytest.mark.parametrize(("policy", "shape"), [("not_larger", (6, 9)), ("not_smaller", (9, 14))])
def test_the_aspect_ratio_is_kept(policy, shape):
    x = normal(1, 1, 4, 6)
    model = resize_model(
        x,
        inputs={"sizes": i64(9, 9)},
        axes=[2, 3],
        mode="linear",
        keep_aspect_ratio_policy=policy,
    )
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    assert got.shape == (1, 1, *shape)
    factor = 9 / 6 if policy == "not_larger" else 9 / 4
    centers = [(np.arange(count) + 0.5) / factor - 0.5 for count in shape]
    rows = np.array([np.interp(centers[0], np.arange(4), column) for column in x[0, 0].T]).T
    expected = np.array([np.interp(centers[1], np.arange(6), row) for row in rows])
    np.testing.assert_allclose(got[0, 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_antialias_keeps_the_mean_of_what_it_shrinks(mode):
    x = np.full((1, 1, 12, 16), 3.25, np.float32)
    model = resize_model(x, inputs={"scales": f32(1, 1, 0.25, 0.4)}, mode=mode, antialias=1)
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    np.testing.assert_allclose(got, np.full((1, 1, 3, 6), 3.25), rtol=1e-6)


def test_a_single_pixel_is_taken_where_pytorch_takes_it():
    x = normal(1, 1, 4, 4)
    mode = {"coordinate_transformation_mode": "pytorch_half_pixel", "mode": "nearest"}
    policy = {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"}
    model = resize_model(x, inputs={"sizes": i64(1, 1)}, **mode, **policy)
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    np.testing.assert_array_equal(got, x[..., :1, :1])


SCALES = {"scales": f32(1, 1, 0.5, 0.5)}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"inputs": SCALES, "mode": "linear"}, "TensorRT takes it"),
        ({"inputs": SCALES, "antialias": 1, "mode": "linear", "stored": []}, "are not stored"),
        (
            {"inputs": SCALES, "antialias": 1, "mode": "linear", "dims": {"x": [1, 1, 8, "w"]}},
            "the size of a resized axis is unknown",
        ),
    ],
)
def test_what_it_cannot_or_need_not_do_is_left(options, reason):
    assert reason in reason_against(ExpandResize, resize_model(normal(1, 1, 8, 8), **options))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
@pytest.mark.parametrize("mode", ["half_pixel", "align_corners", "tf_half_pixel_for_nn"])
def test_integers_are_interpolated_as_onnxruntime_does(mode, dtype):
    x = np.random.default_rng(3).integers(0, 200, (2, 3, 5, 7)).astype(dtype)
    model = resize_model(
        x,
        inputs={**EMPTY, "sizes": i64(2, 3, 8, 4)},
        mode="linear",
        opset=11,
        coordinate_transformation_mode=mode,
    )
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    np.testing.assert_array_equal(got, run_onnxruntime(model, {"x": x})["y"])


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_bytes_are_smoothed_as_onnxruntime_does(mode):
    x = np.random.default_rng(3).integers(0, 256, (1, 3, 17, 13)).astype(np.uint8)
    model = resize_model(x, inputs={"sizes": i64(1, 3, 7, 20)}, mode=mode, antialias=1)
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    np.testing.assert_array_equal(got, run_onnxruntime(model, {"x": x})["y"])


@pytest.mark.parametrize("nearest_mode", ["round_prefer_floor", "ceil"])
def test_the_nearest_of_half_pixels_in_tensorflow(nearest_mode):
    x = normal(1, 2, 5, 7)
    mode = {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": nearest_mode}
    model = resize_model(x, inputs={**EMPTY, "sizes": i64(1, 2, 9, 3)}, opset=11, **mode)
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    np.testing.assert_array_equal(got, run_onnxruntime(model, {"x": x})["y"])


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample_moves_integers(mode):
    x = np.arange(12, dtype=np.int32).reshape(1, 1, 3, 4)
    inputs = {"x": x, "scales": f32(1, 1, 2, 1.5)}
    model = node_model("Upsample", inputs, stored=["scales"], opset=9, mode=mode)
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    np.testing.assert_array_equal(got, run_onnxruntime(model, {"x": x})["y"])


@pytest.mark.parametrize(
    ("dtype", "options", "reason"),
    [
        (np.int32, {"antialias": 1}, "Cast to float32 before it"),
        (np.int8, {"mode": "cubic", "antialias": 1}, "Cast to float32 before it"),
        (
            np.int32,
            {"coordinate_transformation_mode": "half_pixel_symmetric"},
            "Cast to float32 before it",
        ),
    ],
)
def test_integers_that_are_left_have_a_way_on(dtype, options, reason):
    x = np.ones((1, 1, 8, 8), dtype)
    model = resize_model(x, inputs=SCALES, **{"mode": "linear", **options})
    assert reason in reason_against(ExpandResize, model)


@pytest.mark.parametrize(
    ("mode", "shape", "scales"),
    [("cubic", (2, 5, 6, 3), (1, 1.5, 2, 1)), ("linear", (1, 4, 5, 3, 2), (1, 2, 1.5, 2, 1))],
)
def test_channels_may_be_last(mode, shape, scales):
    x = normal(*shape)
    model = resize_model(x, inputs={"scales": f32(*scales)}, mode=mode)
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_dynamic_batch_is_fine():
    x = normal(2, 3, 8, 8)
    model = resize_model(
        x,
        inputs={"scales": f32(0.5, 0.5)},
        axes=[2, 3],
        antialias=1,
        mode="linear",
        dims={"x": ["n", 3, 8, 8]},
    )
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(
        outputs_of(ExpandResize, model, {"x": x})[0], expected, rtol=1e-5, atol=1e-6
    )


def test_an_axis_of_any_size_may_be_kept():
    x = normal(3, 2, 4, 4)
    model = resize_model(
        x,
        inputs={"scales": f32(1, 1, 1.5, 2)},
        dims={"x": ["n", 2, 4, 4]},
        coordinate_transformation_mode="half_pixel_symmetric",
    )
    (got,) = outputs_of(ExpandResize, model, {"x": x})
    np.testing.assert_array_equal(got, run_onnxruntime(model, {"x": x})["y"])
