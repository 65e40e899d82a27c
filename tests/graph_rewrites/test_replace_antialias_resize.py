import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from pluginkit import BuildOptions, RewriteChoice, find_rewrites
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_antialias_resize import ReplaceAntialiasResize
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import f32, i64, node_model, normal

X = normal(2, 3, 13, 18)
EXCLUDES = {"exclude_outside": 1}


def model_of(x, given, stored=None, dims=None, **attributes):
    inputs = {"x": x, "roi": None, "scales": None, "sizes": None, **given}
    while inputs[[*inputs][-1]] is None:
        inputs.popitem()
    if stored is None:
        stored = [name for name in inputs if name != "x" and inputs[name] is not None]
    options = {"antialias": 1, "mode": "linear", **attributes}
    ranks = {"y": x.ndim}
    return node_model("Resize", inputs, stored=stored, opset=19, dims=dims, ranks=ranks, **options)


def outputs_of(model, feeds, tmp_path, nodes=1):
    result = rewrite_model(model, [ReplaceAntialiasResize])
    ops = [node.op_type for node in result.model.graph.node]
    assert ops.count("AntialiasResize_PK") == nodes
    assert rewrite_model(result.model, [ReplaceAntialiasResize]).applied == []
    (got,) = run_model(result.model, feeds, result.plugins, base_dir=tmp_path).values()
    return got


@pytest.mark.parametrize(
    ("given", "attributes"),
    [
        ({"sizes": i64(2, 3, 5, 7)}, EXCLUDES),
        ({"sizes": i64(5, 40)}, {**EXCLUDES, "axes": [2, 3], "mode": "cubic"}),
        (
            {"scales": f32(1, 1, 0.3, 0.6)},
            {**EXCLUDES, "coordinate_transformation_mode": "asymmetric"},
        ),
        (
            {"scales": f32(0.5, 0.7)},
            {"axes": [2, 3], "coordinate_transformation_mode": "half_pixel_symmetric"},
        ),
        ({"sizes": i64(9, 9)}, {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"}),
        ({"sizes": i64(2, 2, 5, 4)}, {"mode": "cubic", "cubic_coeff_a": -0.5}),
        ({"sizes": i64(7)}, {"axes": [3]}),
        (
            {"roi": f32(0, 0, 0.1, -0.2, 1, 1, 0.7, 1.1), "sizes": i64(2, 3, 5, 7)},
            {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 3.0},
        ),
    ],
)
def test_the_rewritten_model_gives_what_onnxs_reference_does(given, attributes, tmp_path):
    model = model_of(X, given, **attributes)
    nodes = 2 if len(given.get("sizes", ())) == 4 and given["sizes"][1] == 2 else 1
    got = outputs_of(model, {"x": X}, tmp_path, nodes)
    expected = ReferenceEvaluator(model).run(None, {"x": X})[0]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stored", [[], ["sizes"]], ids=str)
def test_sizes_may_be_known_when_the_model_runs(stored, tmp_path):
    sizes = i64(2, 3, 6, 9)
    dims = {"x": (2, 3, "h", "w")}
    model = model_of(X, {"sizes": sizes}, stored=stored, dims=dims, **EXCLUDES)
    feeds = {"x": X, "sizes": sizes} if not stored else {"x": X}
    got = outputs_of(model, feeds, tmp_path, nodes=1 if stored else 2)
    np.testing.assert_allclose(got, run_onnxruntime(model, feeds)["y"], rtol=1e-5, atol=1e-5)


def test_stored_scales_of_an_image_of_any_size(tmp_path):
    model = model_of(
        X, {"scales": f32(1, 1, 0.5, 0.25)}, dims={"x": ("n", 3, "h", "w")}, **EXCLUDES
    )
    got = outputs_of(model, {"x": X}, tmp_path)
    np.testing.assert_allclose(got, run_onnxruntime(model, {"x": X})["y"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"antialias": 0}, "it has no antialias"),
        ({"mode": "nearest"}, "it takes the nearest elements"),
        ({"stored": [], "dims": {"x": (2, 3, "h", "w")}}, "its scales are not stored in the model"),
    ],
)
def test_what_the_plugin_does_not_take_is_left(options, reason):
    model = model_of(X, {"scales": f32(1, 1, 0.5, 0.5)}, **options)
    assert reason_against(ReplaceAntialiasResize, model) == reason


@pytest.mark.parametrize(
    ("skip", "applied"),
    [([], "ReplaceAntialiasResize"), (["ReplaceAntialiasResize"], "ExpandResize")],
    ids=str,
)
def test_without_the_plugin_it_is_gathered(skip, applied):
    model = model_of(X, {"sizes": i64(2, 3, 5, 7)})
    result = rewrite_model(model, find_rewrites(), RewriteChoice(skip=skip))
    assert [each.rewrite for each in result.applied] == [applied]


HALVED = """
<ir_version: 10, opset_import: ["" : 19]> g (float[1, 3, h, w] x) => (float[1, 3, h2, w2] y) {
  shape = Shape<start = 2>(x)
  two = Constant<value = int64 {2}>()
  half = Div(shape, two)
  kept = Constant<value = int64[2] {1, 3}>()
  sizes = Concat<axis = 0>(kept, half)
  y = Resize<mode = "linear", antialias = 1, exclude_outside = 1>(x, , , sizes)
}
"""


@pytest.mark.trt
@pytest.mark.parametrize("is_dynamic", [False, True])
def test_a_real_build_takes_it(is_dynamic, tmp_path):
    path = tmp_path / "m.onnx"
    model = (
        onnx.parser.parse_model(HALVED) if is_dynamic else model_of(X, {"sizes": i64(2, 3, 5, 7)})
    )
    onnx.save(model, path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    built = build_engine(path, options=options)
    assert {record.name for record in built.manifest.plugins} == {"AntialiasResize_PK"}
