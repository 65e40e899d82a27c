import numpy as np
import onnx
import pytest

from pluginkit import BuildOptions, build_engine
from pluginkit.graph_rewrites.expand_dynamic_col2im import ExpandDynamicCol2Im
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import i64, node_model, normal
from tests.graph_rewrites.test_expand_col2im import summed


def dynamic(x, image, block, **options):
    inputs = {"x": x, "image": i64(*image), "block": i64(*block)}
    ranks = {"y": 2 + len(block)}
    dims = {"x": (*x.shape[:2], "n")}
    return node_model("Col2Im", inputs, stored=["block"], dims=dims, ranks=ranks, **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(
    ("strides", "dilations", "pads", "count"),
    [
        ([1, 1], [1, 1], [0, 0, 0, 0], 25),
        ([2, 3], [1, 1], [1, 0, 0, 2], 9),
        ([1, 2], [2, 1], [0, 1, 1, 1], 20),
        ([4, 4], [1, 1], [0, 0, 0, 0], 4),
        ([1, 1], [1, 2], [1, 2, 1, 2], 49),
    ],
)
def test_columns_are_summed_as_one_by_one(strides, dilations, pads, count, dtype):
    x = normal(2, 18, count).astype(dtype)
    model = dynamic(x, (6, 7), (2, 3), strides=strides, dilations=dilations, pads=pads)
    (got,) = outputs_of(ExpandDynamicCol2Im, model, {"x": x, "image": i64(6, 7)})
    expected = summed(x.astype(np.float64), (6, 7), (2, 3), strides, dilations, pads)
    assert got.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 2e-3
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_one_model_takes_images_of_several_sizes():
    model = dynamic(normal(1, 12, 6), (3, 4), (2, 2), strides=[1, 2], pads=[0, 1, 0, 1])
    for image, count in (((3, 4), 6), ((7, 2), 12), ((2, 1), 1)):
        x = normal(1, 12, count)
        (got,) = outputs_of(ExpandDynamicCol2Im, model, {"x": x, "image": i64(*image)})
        expected = summed(x, image, (2, 2), [1, 2], [1, 1], [0, 1, 0, 1])
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.trt
@pytest.mark.slow
def test_a_build_takes_images_of_a_range_of_sizes(tmp_path):
    onnx.save(dynamic(normal(2, 12, 9), (6, 7), (2, 3), strides=[2, 2]), tmp_path / "m.onnx")
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])
    shapes = {"x": "2x12x1,2x12x9,2x12x1024", "image": "2x3,6x7,64x64"}
    built = build_engine(tmp_path / "m.onnx", tmp_path / "m.plan", options=options, shapes=shapes)
    assert "ExpandDynamicCol2Im" in {each.rewrite for each in built.rewrite.applied}
    assert [each.dtype for each in built.manifest.outputs] == ["float32"]


def test_sequences_have_one_axis():
    x = normal(2, 6, 4)
    model = dynamic(x, (9,), (3,), strides=[2])
    (got,) = outputs_of(ExpandDynamicCol2Im, model, {"x": x, "image": i64(9)})
    expected = np.zeros((2, 2, 9))
    for at in range(4):
        expected[:, :, 2 * at : 2 * at + 3] += x.reshape(2, 2, 3, 4)[..., at]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_an_infinity_stays_in_its_pixels():
    x = np.zeros((1, 6, 20), np.float32)
    x[0, 0, 0] = np.inf
    (got,) = outputs_of(
        ExpandDynamicCol2Im, dynamic(x, (5, 7), (2, 3)), {"x": x, "image": i64(5, 7)}
    )
    assert np.isinf(got).sum() == 1
    assert not np.isnan(got).any()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            node_model(
                "Col2Im",
                {"x": normal(1, 6, 20), "image": i64(5, 7), "block": i64(2, 3)},
                stored=["image", "block"],
            ),
            "the image's shape is stored: ReplaceCol2Im and ExpandCol2Im take it",
        ),
        (
            node_model(
                "Col2Im",
                {"x": normal(1, 6, 20), "image": i64(5, 7), "block": i64(2, 3)},
                ranks={"y": 4},
            ),
            "the block's shape is not stored in the model",
        ),
        (
            dynamic(np.ones((1, 6, 20)), (5, 7), (2, 3)),
            "'x' is float64; expected float32, float16 or bfloat16",
        ),
        (
            dynamic(normal(1, 8, 1), (2, 2, 2), (2, 2, 2)),
            "the image has 3 axes; expected 1 or 2, for TensorRT has 8 in all",
        ),
        (
            dynamic(normal(1, 65, 1), (65,), (65,)),
            "its blocks are longer than 64 elements",
        ),
    ],
    ids=["stored image", "dynamic block", "type", "volume", "long block"],
)
def test_others_are_left(model, reason):
    assert reason_against(ExpandDynamicCol2Im, model) == reason
