import numpy as np
import onnx
import pytest

from pluginkit import BuildOptions, RewriteChoice, find_rewrites
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_max_pool import ReplaceMaxPool
from pluginkit.graph_rewrites.replace_max_unpool import ReplaceMaxUnpool
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import i64, node_model, normal

BOTH = {"outputs": ("y", "places")}
HALVES = {"kernel_shape": [2, 2], "strides": [2, 2]}


def rewritten(model, rewrite, op_type):
    result = rewrite_model(model, [rewrite])
    assert [node.op_type for node in result.model.graph.node] == [op_type]
    assert rewrite_model(result.model, [rewrite]).applied == []
    return result


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_shape": [3, 2], "pads": [1, 0, 2, 1]},
        {"kernel_shape": [2, 3], "dilations": [3, 2], "ceil_mode": 1, "strides": [2, 2]},
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 1]},
        {**HALVES, "storage_order": 1, "dims": {"x": ["n", 3, "h", "w"]}},
    ],
    ids=str,
)
def test_values_and_places_are_those_of_onnxruntime(options, tmp_path):
    x = normal(2, 3, 9, 10)
    model = node_model("MaxPool", {"x": x}, **BOTH, **options)
    result = rewritten(model, ReplaceMaxPool, "MaxPool_PK")
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)
    for name, expected in run_onnxruntime(model, {"x": x}).items():
        np.testing.assert_array_equal(got[name], expected)


def dilated(dims):
    options = {"kernel_shape": [3, 2], "dilations": [2, 1], "pads": [1, 0, 1, 0]}
    return node_model("MaxPool", {"x": normal(2, 3, 9, 10)}, dims={"x": dims}, **options)


def test_dilated_windows_of_unknown_sizes_are_the_plugins(tmp_path):
    model, x = dilated(["n", 3, "h", "w"]), normal(1, 3, 7, 4)
    result = rewritten(model, ReplaceMaxPool, "MaxPool_PK")
    (got,) = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path).values()
    np.testing.assert_array_equal(got, run_onnxruntime(model, {"x": x})["y"])


@pytest.mark.parametrize("larger", [False, True])
def test_unpooling_puts_the_greatest_back(larger, tmp_path):
    x = normal(2, 3, 6, 8)
    pooled = run_onnxruntime(node_model("MaxPool", {"x": x}, **BOTH, **HALVES), {"x": x})
    inputs = {"x": pooled["y"], "places": pooled["places"]}
    shape = {"shape": i64(2, 3, 7, 8)} if larger else {}
    model = node_model(
        "MaxUnpool", {**inputs, **shape}, stored=list(shape), ranks={"y": 4}, **HALVES
    )
    result = rewritten(model, ReplaceMaxUnpool, "MaxUnpool_PK")
    (got,) = run_model(result.model, inputs, result.plugins, base_dir=tmp_path).values()
    expected = np.zeros((2, 3, 7 if larger else 6, 8), np.float32)
    flat = np.zeros(x.size, np.float32)
    flat[pooled["places"].ravel()] = pooled["y"].ravel()
    expected[:, :, :6] = flat.reshape(x.shape)
    np.testing.assert_array_equal(got, expected)


def test_what_the_plugins_do_not_take_is_left():
    model = node_model("MaxPool", {"x": normal(1, 1, 4, 4)}, kernel_shape=[2, 2])
    assert reason_against(ReplaceMaxPool, model) == "its indices are not used"
    reason = "its indices are not used, and its spatial sizes are known"
    assert reason_against(ReplaceMaxPool, dilated(["n", 3, 9, 10])) == reason
    inputs = {"x": normal(1, 1, 2, 2), "places": np.zeros((1, 1, 2, 2), np.int64)}
    given = {**inputs, "shape": i64(1, 1, 4, 4)}
    model = node_model("MaxUnpool", given, ranks={"y": 4}, **HALVES)
    assert reason_against(ReplaceMaxUnpool, model) == "its output shape is not stored in the model"
    given = {**inputs, "shape": i64(2, 1, 4, 4)}
    model = node_model("MaxUnpool", given, stored=["shape"], ranks={"y": 4}, **HALVES)
    assert reason_against(ReplaceMaxUnpool, model) == (
        "its output shape may have another batch or other channels than x"
    )


@pytest.mark.parametrize(
    ("skip", "applied"),
    [
        ([], ["ReplaceMaxPool", "ReplaceMaxUnpool"]),
        (["ReplaceMaxPool", "ReplaceMaxUnpool"], ["ExpandMaxPoolIndices", "ExpandMaxUnpool"]),
    ],
    ids=str,
)
def test_without_the_plugins_they_are_spelled_out(skip, applied):
    result = rewrite_model(pool_and_unpool(), find_rewrites(), RewriteChoice(skip=skip))
    found = [each.rewrite for each in result.applied if each.rewrite != "FoldKnown"]
    assert sorted(found) == sorted(applied)


def pool_and_unpool():
    """A model that pools and puts what is left back, as SegNet does."""
    pool = onnx.helper.make_node("MaxPool", ["x"], ["y", "places"], name="pool", **HALVES)
    unpool = onnx.helper.make_node("MaxUnpool", ["y", "places"], ["z"], name="unpool", **HALVES)
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2, 6, 8])
        for name in ("x", "z")
    ]
    graph = onnx.helper.make_graph([pool, unpool], "segnet", values[:1], values[1:])
    opsets = [onnx.helper.make_opsetid("", 22)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)


@pytest.mark.trt
def test_a_real_build_takes_them(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(pool_and_unpool(), path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    built = build_engine(path, options=options)
    names = sorted(record.name for record in built.manifest.plugins)
    assert names == ["MaxPool_PK", "MaxUnpool_PK"]
