import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.count_by_non_zero import CountByNonZero
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node, value = helper.make_node, helper.make_tensor_value_info

FLAT = [
    node("Reshape", ["mask", "flat"], ["flags"]),
    node("Cast", ["flags"], ["ones"], to=INT64),
    node("ReduceSum", ["ones"], ["count"]),
]
WHOLE = [
    node("Cast", ["mask"], ["ones"], to=INT64),
    node("ReduceSum", ["ones"], ["number"], keepdims=0),
    node("Reshape", ["number", "flat"], ["count"]),
]


def model_of(count, shape=(5, 6)):
    """Numbers written through a mask, each another, so that no selection does the same."""
    nodes = [
        node("Less", ["x", "limit"], ["mask"]),
        node("NonZero", ["mask"], ["found"]),
        node("Transpose", ["found"], ["places"]),
        *count,
        node("Expand", ["limit", "count"], ["same"]),
        node("CumSum", ["same", "zero"], ["new"]),
        node("ScatterND", ["x", "places", "new"], ["y"]),
    ]
    stored = {"limit": np.float32(0.3), "flat": np.array([-1]), "zero": np.array(0)}
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", FLOAT, shape)],
        [value("y", FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("count", [FLAT, WHOLE], ids=["flat", "whole"])
@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_the_length_of_a_non_zero_takes_the_place_of_a_sum(count, share, tmp_path):
    model = model_of(count)
    result = rewrite_model(model, [CountByNonZero])
    (applied,) = result.applied
    assert applied.made == ("Shape", "Constant", "Gather")
    onnx.checker.check_model(result.model, full_check=True)
    x = (np.random.default_rng(1).random((5, 6)) + 0.3 - share).astype(np.float32)
    expected = run_onnxruntime(model, {"x": x})["y"]
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)["y"]
    np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, [CountByNonZero]).applied == []


@pytest.mark.parametrize(
    "count",
    [
        [FLAT[0], node("Cast", ["flags"], ["ones"], to=TensorProto.INT32), FLAT[2]],
        [WHOLE[0], node("ReduceSum", ["ones"], ["count"])],
        [
            node("Cast", ["mask"], ["ones"], to=INT64),
            node("ReduceSum", ["ones", "flat"], ["count"]),
        ],
        [
            node("Not", ["mask"], ["other"]),
            *[node("Reshape", ["other", "flat"], ["flags"])],
            *FLAT[1:],
        ],
    ],
    ids=["int32", "rank two", "rows", "another mask"],
)
def test_other_sums_stay(count):
    assert rewrite_model(model_of(count), [CountByNonZero]).applied == []


@pytest.mark.trt
@pytest.mark.parametrize("count", [FLAT, WHOLE], ids=["flat", "whole"])
def test_a_real_build_takes_it(count, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(count), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        rewrites=find_rewrites(),
    )
    assert [record.name for record in built.manifest.plugins] == ["NonZero_PK"]
