import numpy as np
import onnx
import onnx.parser
import pytest

from pluginkit.graph_rewrites.expand_dynamic_resize import ExpandDynamicResize
from tests.graph_rewrites.rewriting import outputs_of, reason_against, run
from tests.graph_rewrites.samples import f32, i64, node_model, normal

X = normal(1, 2, 13, 16)
DIMS = {"x": (1, 2, "h", "w")}


def resize_model(inputs, stored=(), dims=DIMS, **attributes):
    given = {"x": X, "roi": None, "scales": None, **inputs}
    options = {"antialias": 1, "mode": "linear", **attributes}
    return node_model("Resize", given, stored=stored, dims=dims, ranks={"y": 4}, **options)


@pytest.mark.parametrize("exclude", [0, 1])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("sizes", [(6, 8), (5, 20), (13, 3), (30, 1)])
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
def test_sizes_are_known_when_the_model_runs(coordinates, sizes, mode, exclude):
    feeds = {"x": X, "sizes": i64(1, 2, *sizes)}
    model = resize_model(
        feeds,
        mode=mode,
        exclude_outside=exclude,
        coordinate_transformation_mode=coordinates,
    )
    (got,) = outputs_of(ExpandDynamicResize, model, feeds)
    np.testing.assert_allclose(got, run(model, feeds)[0], rtol=1e-4, atol=1e-5)


def test_scales_of_an_image_of_any_size():
    inputs = {"scales": f32(1, 1, 0.5, 0.7)}
    model = resize_model(inputs, stored=["scales"])
    (got,) = outputs_of(ExpandDynamicResize, model, {"x": X})
    np.testing.assert_allclose(got, run(model, {"x": X})[0], rtol=1e-4, atol=1e-5)


def test_only_the_named_axes_are_resized():
    feeds = {"x": X, "sizes": i64(5, 20)}
    model = resize_model(feeds, axes=[2, 3])
    (got,) = outputs_of(ExpandDynamicResize, model, feeds)
    np.testing.assert_allclose(got, run(model, feeds)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [0.4, 2.7])
@pytest.mark.parametrize(
    ("mode", "rounding"),
    [
        ("linear", "floor"),
        ("cubic", "floor"),
        *(("nearest", each) for each in ("round_prefer_floor", "round_prefer_ceil", "floor")),
        ("nearest", "ceil"),
    ],
)
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
def test_scales_that_follow_from_data(coordinates, mode, rounding, scale):
    feeds = {"x": X, "k": f32(scale, 1.5)}
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 18]> g (float[1, 2, h, w] x, float[2] k) =>
        (float[a, b, c, d] y) <float[2] one = {{1.0, 1.0}}> {{
            scales = Concat<axis = 0>(one, k)
            y = Resize<mode = "{mode}", coordinate_transformation_mode = "{coordinates}",
                nearest_mode = "{rounding}">(x, , scales)
        }}"""
    )
    (got,) = outputs_of(ExpandDynamicResize, model, feeds)
    np.testing.assert_allclose(got, run(model, feeds)[0], rtol=1e-4, atol=1e-5)


def test_scales_of_sizes_are_left():
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18]> g (float[1, 2, h, w] x, int64[4] n) =>
        (float[a, b, c, d] y) {
            shape = Shape(x) before = Cast<to = 1>(shape) after = Cast<to = 1>(n)
            scales = Div(after, before)
            y = Resize<mode = "linear">(x, , scales)
        }"""
    )
    model.graph.node[-1].name = "node"
    reason = "it has no antialias, and no scales that follow from data"
    assert reason_against(ExpandDynamicResize, model) == reason


def test_other_forms_are_left():
    feeds = {"sizes": i64(1, 2, 5, 5)}
    reason = "its sizes are known"
    known = resize_model(feeds, stored=["sizes"], dims={})
    assert reason_against(ExpandDynamicResize, known) == reason
    reason = "it has no antialias, and no scales that follow from data"
    assert reason_against(ExpandDynamicResize, resize_model(feeds, antialias=0)) == reason
    reason = "it keeps the ratio of its sizes"
    model = resize_model(feeds, keep_aspect_ratio_policy="not_larger")
    assert reason_against(ExpandDynamicResize, model) == reason
