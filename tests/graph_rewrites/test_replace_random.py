import numpy as np
import onnx
import pytest

from pluginkit import BuildOptions, RewriteChoice, find_rewrites
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_random import ReplaceSeededRandom, ReplaceUnseededRandom
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import node_model

ROW = np.zeros((3, 5), np.float16)


def model_of(op_type, **attributes):
    if op_type.endswith("Like"):
        return node_model(op_type, {"x": ROW}, dims={"x": ("n", 5)}, **attributes)
    return node_model(op_type, {}, shape=ROW.shape, **attributes)


def numbers_of(model, tmp_path, rewrites=(ReplaceSeededRandom,), **feeds):
    result = rewrite_model(model, rewrites)
    assert "RandomNumbers_PK" in [node.op_type for node in result.model.graph.node], result.refused
    assert rewrite_model(result.model, rewrites).applied == []
    (got,) = run_model(result.model, feeds, result.plugins, base_dir=tmp_path).values()
    return got


@pytest.mark.parametrize("op_type", ["RandomUniform", "RandomUniformLike"])
def test_a_seed_decides_uniform_numbers(op_type, tmp_path):
    feeds = {"x": ROW} if op_type.endswith("Like") else {}
    got = numbers_of(model_of(op_type, seed=1.5, low=2.0, high=4.0), tmp_path, **feeds)
    same = numbers_of(model_of(op_type, seed=1.5, low=2.0, high=4.0), tmp_path, **feeds)
    other = numbers_of(model_of(op_type, seed=1.25, low=2.0, high=4.0), tmp_path, **feeds)
    assert got.dtype == (np.float16 if feeds else np.float32)
    assert got.shape == ROW.shape
    assert got.min() >= 2
    assert 3 < got.max() <= 4
    np.testing.assert_array_equal(got, same)
    assert (got != other).any()


@pytest.mark.parametrize("op_type", ["RandomNormal", "RandomNormalLike"])
def test_normal_numbers_have_the_mean_and_the_deviation(op_type, tmp_path):
    feeds = {"x": ROW} if op_type.endswith("Like") else {}
    got = numbers_of(model_of(op_type, seed=3.0, mean=100.0, scale=0.125), tmp_path, **feeds)
    # Fifteen numbers: their mean is off by 0.125 / sqrt(15), here at most five times that.
    assert abs(got.astype(float).mean() - 100) < 0.17
    assert 0 < got.astype(float).std() < 0.5


def test_what_is_drawn_from_seeded_numbers_keeps_the_seed(tmp_path):
    x = np.full((4, 50), 0.5, np.float32)
    rewrites = find_rewrites()
    first, again, other = (
        numbers_of(node_model("Bernoulli", {"x": x}, seed=seed), tmp_path, rewrites, x=x)
        for seed in (7.0, 7.0, 8.0)
    )
    assert set(np.unique(first)) == {0, 1}
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("seed", [{}, {"seed": float("nan")}], ids=["none", "nan"])
def test_numbers_without_a_seed_are_replaced_if_it_is_asked_for(seed, tmp_path):
    model = model_of("RandomNormal", **seed)
    assert reason_against(ReplaceSeededRandom, model).startswith("it has no seed")
    assert rewrite_model(model, find_rewrites()).applied == []
    choice = RewriteChoice(also=["ReplaceUnseededRandom"])
    asked = rewrite_model(model, find_rewrites(), choice)
    assert [each.rewrite for each in asked.applied] == ["ReplaceUnseededRandom"]
    seeded = rewrite_model(model_of("RandomNormal", seed=1.0), [ReplaceUnseededRandom], choice)
    assert [each.reason for each in seeded.refused] == [
        "it has a seed: ReplaceSeededRandom takes it"
    ]


def test_doubles_are_left():
    model = model_of("RandomNormal", seed=1.0, dtype=onnx.TensorProto.DOUBLE)
    assert "float64" in reason_against(ReplaceSeededRandom, model)


@pytest.mark.trt
@pytest.mark.parametrize("op_type", ["RandomUniform", "RandomNormalLike"])
def test_a_real_build_takes_it(op_type, tmp_path):
    path = tmp_path / "m.onnx"
    model = model_of(op_type, seed=1.0)
    if not model.graph.input:  # TensorRT wants one
        model.graph.input.append(onnx.helper.make_tensor_value_info("x", 1, ROW.shape))
        model.graph.node[0].output[0] = "drawn"
        model.graph.node.append(onnx.helper.make_node("Add", ["drawn", "x"], ["y"]))
    onnx.save(model, path)
    shapes = {"x": "1x5,3x5,9x5"} if op_type.endswith("Like") else None
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    built = build_engine(path, options=options, shapes=shapes)
    assert [record.name for record in built.manifest.plugins] == ["RandomNumbers_PK"]
