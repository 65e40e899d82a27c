from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from pluginkit import BuildOptions, RewriteChoice
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.fuse_chunked_scan import FuseChunkedScan
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

NAME, PLUGIN = "FuseChunkedScan", "SelectiveScan_PK"
FOLDER = Path(__file__).parent / "models"
LENGTHS = ("fixed", "any")


def exported(length):
    return onnx.load(FOLDER / f"chunked_scan_{length}_length.onnx")


def fused(model):
    return rewrite_model(model, [FuseChunkedScan], choice=RewriteChoice(also=[NAME]))


def nodes_of(model, op_type):
    return [node for node in model.graph.node if node.op_type == op_type]


def assert_same(model, result, tmp_path, items=2, length=7):
    rng = np.random.default_rng(0)
    shapes = {"u": (4, 3), "delta": (4,), "B": (2, 5), "C": (2, 5)}
    feeds = {
        name: rng.normal(size=(items, length, *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
    expected = run_onnxruntime(model, feeds)
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("length", LENGTHS)
def test_what_pytorch_exports_becomes_one_plugin_and_gives_the_same(length, tmp_path):
    model = exported(length)
    result = fused(model)
    assert len(nodes_of(result.model, PLUGIN)) == 1
    assert not nodes_of(result.model, "Einsum") + nodes_of(result.model, "CumSum")
    (node,) = nodes_of(result.model, PLUGIN)
    assert [each for each in node.input if each in ("B", "C")] == ["B", "C"]  # not repeated
    assert_same(model, result, tmp_path)
    assert_same(model, result, tmp_path, items=1)


@pytest.mark.parametrize("length", [2, 4, 8, 13])
def test_any_length_gives_the_same(length, tmp_path):
    model = exported("any")
    assert_same(model, fused(model), tmp_path, length=length)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_model_is_left_alone_unless_it_is_asked_for(length):
    model = exported(length)
    result = rewrite_model(model, [FuseChunkedScan])
    assert result.model == model
    assert result.opt_in == [NAME]


@pytest.mark.parametrize("length", LENGTHS)
def test_applied_twice_changes_nothing(length):
    once = fused(exported(length)).model
    twice = fused(once)
    assert twice.applied == []
    assert twice.model == once


def read_b_for_c(model):
    """Let the carried states be multiplied by B."""
    scores, *_, across = nodes_of(model, "Einsum")
    across.input[0] = scores.input[1]


def forget_decays(model):
    """Let what a chunk gives to its end keep all of it."""
    nodes_of(model, "Sub")[0].input[0] = nodes_of(model, "Sub")[0].input[1]


def decay_twice(model):
    """Let the chunks' own decays be squared."""
    total = nodes_of(model, "CumSum")[0]
    total.input[0], name = total.output[0] + "_twice", total.input[0]
    add = onnx.helper.make_node("Add", [name, name], [total.input[0]])
    model.graph.node.insert(list(model.graph.node).index(total), add)


def begin_with_one(model):
    """Start from a state of 1 instead of 0."""
    carried = nodes_of(model, "Einsum")[3].input
    joined = next(node for node in nodes_of(model, "Concat") if node.output[0] in carried)
    ones = numpy_helper.from_array(np.ones((2, 1, 4, 3, 5), np.float32), "ones")
    model.graph.initializer.append(ones)
    joined.input[0] = "ones"


def read_the_input(model):
    """Let the scores depend on something that is not scanned."""
    scores = nodes_of(model, "Einsum")[0]
    model.graph.input.append(onnx.helper.make_tensor_value_info("other", 1, [1]))
    name = scores.input[0]
    scores.input[0] = "other_scores"
    add = onnx.helper.make_node("Add", [name, "other"], ["other_scores"])
    model.graph.node.insert(list(model.graph.node).index(scores), add)


@pytest.mark.parametrize(
    "change", [read_b_for_c, forget_decays, decay_twice, begin_with_one, read_the_input]
)
def test_another_recurrence_is_left(change):
    model = exported("fixed")
    change(model)
    result = fused(model)
    assert result.applied == []
    assert result.model == model


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(exported("any"), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={
            "u": "1x2x4x3,2x7x4x3,4x20x4x3",
            "delta": "1x2x4,2x7x4,4x20x4",
            "B": "1x2x2x5,2x7x2x5,4x20x2x5",
            "C": "1x2x2x5,2x7x2x5,4x20x2x5",
        },
        choice=RewriteChoice(also=[NAME]),
    )
    assert [record.name for record in built.manifest.plugins] == [PLUGIN]
