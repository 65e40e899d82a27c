import numpy as np
import onnx
import pytest

from pluginkit import BuildOptions, build_engine
from pluginkit.graph_rewrites.expand_resize import ExpandResize
from pluginkit.graph_rewrites.widen_resize import WidenResize
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import outputs_of, reason_against, run
from tests.graph_rewrites.samples import node_model

BYTES = np.random.default_rng(7).integers(0, 256, (2, 3, 7, 9)).astype(np.uint8)
SCALES = np.array([1, 1, 2, 1.7], np.float32)


def resize_model(x=BYTES, dims=(2, 3, "h", "w"), **options):
    given = {"x": x, "roi": None, "scales": SCALES}
    declared = {"x": dims[: x.ndim]}
    options = {"mode": "linear"} | options
    ranks = {"y": x.ndim}
    return node_model(
        "Resize", given, stored=["scales"], opset=18, dims=declared, ranks=ranks, **options
    )


@pytest.mark.parametrize(
    "coordinates", ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
)
def test_bytes_are_what_is_below_the_sum(coordinates):
    model = resize_model(coordinate_transformation_mode=coordinates)
    (expected,) = run(model, {"x": BYTES})
    (got,) = outputs_of(WidenResize, model, {"x": BYTES})
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, expected)


def test_sizes_that_are_known_are_for_stored_weights():
    model = resize_model(dims=BYTES.shape)
    result = rewrite_model(model, [WidenResize, ExpandResize])
    assert {each.rewrite for each in result.applied} == {"ExpandResize"}


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (resize_model(BYTES.astype(np.float32)), "it does not interpolate uint8"),
        (resize_model(mode="nearest"), "it does not interpolate uint8"),
        (
            resize_model(antialias=1),
            "it has antialias, or coordinates of an opset below 11",
        ),
        (
            resize_model(coordinate_transformation_mode="half_pixel_symmetric"),
            "its coordinates are of another mode",
        ),
    ],
    ids=["float32", "nearest", "antialias", "coordinates"],
)
def test_others_are_left(model, reason):
    assert reason_against(WidenResize, model) == reason


@pytest.mark.trt
@pytest.mark.slow
def test_a_real_build_takes_bytes_between_quantized_values(tmp_path):
    model = resize_model()
    scale, zero = np.float32(0.1), np.uint8(3)
    for name, array in (("scale", scale), ("zero", zero)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    make = onnx.helper.make_node
    model.graph.node[0].input[0] = "quantized"
    model.graph.node.insert(0, make("QuantizeLinear", ["x", "scale", "zero"], ["quantized"]))
    model.graph.node.append(make("DequantizeLinear", ["y", "scale", "zero"], ["z"]))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    model.graph.output[0].name = "z"
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    onnx.save(model, tmp_path / "m.onnx")
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])
    shapes = {"x": "2x3x4x4,2x3x7x9,2x3x16x16"}
    built = build_engine(tmp_path / "m.onnx", tmp_path / "m.plan", options=options, shapes=shapes)
    assert [each.dtype for each in built.manifest.outputs] == ["float32"]
