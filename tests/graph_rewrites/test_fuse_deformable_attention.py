from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import pytest
from onnx import numpy_helper

from pluginkit import BuildOptions, RewriteChoice
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.fuse_deformable_attention import FuseMultiScaleDeformableAttention
from pluginkit.graph_rewrites.replace_deformable_attention import ReplaceMMCVDeformableAttention
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from pluginkit.plugins.multi_scale_deformable_attention import MultiScaleDeformableAttention
from tests.graph_rewrites.deformable_attention import EXPORTED, feeds_for

NAME = "FuseMultiScaleDeformableAttention"
PLUGIN = "MultiScaleDeformableAttention_PK"


def fused(model):
    return rewrite_model(
        model, [FuseMultiScaleDeformableAttention], choice=RewriteChoice(also=[NAME])
    )


def family_of(name):
    return name.rpartition("_")[0]


def node_of(model, op_type, number=0):
    return [node for node in model.graph.node if node.op_type == op_type][number]


def test_both_families_from_both_exporters_are_there():
    families, exporters = ("detr", "rt_detr_v2"), ("ts", "dynamo")
    assert set(EXPORTED) == {f"{each}_{exporter}" for each in families for exporter in exporters}


@pytest.mark.parametrize("name", EXPORTED)
def test_what_pytorch_exports_becomes_one_plugin_and_gives_the_same(name, tmp_path):
    model = EXPORTED[name]()
    result = fused(model)
    kinds = [node.op_type for node in result.model.graph.node]
    assert kinds == [*["Reshape"] * (2 * name.startswith("rt_detr_v2")), PLUGIN]
    assert [each.rewrite for each in result.applied] == [NAME]
    for items, queries in ((2, 5), (1, 1), (3, 2)):
        feeds = feeds_for(family_of(name), items, queries)
        (expected,) = run_onnxruntime(model, feeds).values()
        (got,) = run_model(result.model, feeds, result.plugins, base_dir=tmp_path).values()
        np.testing.assert_allclose(got, expected, atol=2e-6, rtol=1e-5)


def with_slices(model, shift=0):
    """Put Slices in the place of each Split, as the TorchScript exporter does in whole models."""
    nodes = []
    for node in model.graph.node:
        if node.op_type != "Split":
            nodes.append(node)
            continue
        sizes = next(t for t in model.graph.initializer if t.name == node.input[1])
        ends = np.cumsum(numpy_helper.to_array(sizes))
        axis = node.attribute[0].i
        for number, (output, end) in enumerate(zip(node.output, ends, strict=True)):
            begin = int(end - numpy_helper.to_array(sizes)[number])
            names = [f"{output}_{each}" for each in ("starts", "ends", "axes")]
            values = (begin - shift * (number > 0), end - shift * (number > 0), axis)
            for name, value in zip(names, values, strict=True):
                stored = numpy_helper.from_array(np.array([value], np.int64), name)
                model.graph.initializer.append(stored)
            nodes.append(onnx.helper.make_node("Slice", [node.input[0], *names], [output]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


@pytest.mark.parametrize("name", ["detr_dynamo", "rt_detr_v2_dynamo"])
def test_slices_are_taken_for_splits(name, tmp_path):
    model = with_slices(EXPORTED[name]())
    result = fused(model)
    assert [each.rewrite for each in result.applied] == [NAME]
    feeds = feeds_for(family_of(name))
    (expected,) = run_onnxruntime(model, feeds).values()
    (got,) = run_model(result.model, feeds, result.plugins, base_dir=tmp_path).values()
    np.testing.assert_allclose(got, expected, atol=2e-6, rtol=1e-5)
    assert fused(with_slices(EXPORTED[name](), shift=1)).applied == []


@pytest.mark.parametrize("name", EXPORTED)
def test_a_model_is_left_alone_unless_it_is_asked_for(name):
    model = EXPORTED[name]()
    result = rewrite_model(model, [FuseMultiScaleDeformableAttention])
    assert result.model == model
    assert result.opt_in == [NAME]


@pytest.mark.parametrize("name", EXPORTED)
def test_applied_twice_changes_nothing(name):
    once = fused(EXPORTED[name]()).model
    twice = fused(once)
    assert twice.applied == []
    assert twice.model == once


def set_attribute(op_type, name, value):
    def change(model):
        node = node_of(model, op_type, 1)
        (found,) = (each for each in node.attribute if each.name == name)
        found.CopyFrom(onnx.helper.make_attribute(name, value))

    return change


def store(name, *numbers):
    """Give an initializer or a Constant another value."""

    def change(model):
        for tensor in model.graph.initializer:
            if tensor.name == name:
                array = np.array(numbers, numpy_helper.to_array(tensor).dtype)
                array = array.reshape(tuple(tensor.dims))
                tensor.CopyFrom(numpy_helper.from_array(array, name))
                return
        raise AssertionError(name)

    return change


def swap_levels(model):
    """Let two GridSamples read the grids of each other."""
    first, second = (node_of(model, "Gather", number) for number in (0, 1))
    first.input[1], second.input[1] = second.input[1], first.input[1]


def swap_values(model):
    """Let a level read pixels of another one, of the same number."""
    split = node_of(model, "Split")
    split.output[1], split.output[2] = split.output[2], split.output[1]


def drop_scale(model):
    """Take the grids from the locations themselves, without doubling them."""
    node_of(model, "Sub").input[0] = "locations"


def name_of_number(model, op_type):
    return node_of(model, op_type).input[1]


def but_number(op_type, number):
    def change(model):
        store(name_of_number(model, op_type), number)(model)

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_attribute("GridSample", "align_corners", 1),
        set_attribute("GridSample", "padding_mode", "border"),
        set_attribute("GridSample", "mode", "nearest"),
        swap_levels,
        swap_values,
        drop_scale,
        but_number("Mul", 3.0),
        but_number("Sub", 0.5),
    ],
)
def test_what_computes_something_else_is_left(change):
    model = EXPORTED["detr_dynamo"]()
    change(model)
    onnx.checker.check_model(model)
    assert fused(model).applied == []


def test_values_that_others_read_stay():
    """A GridSample whose result is also an output."""
    model = EXPORTED["detr_dynamo"]()
    sample = node_of(model, "GridSample")
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(sample.output[0]))
    result = fused(model)
    kinds = [node.op_type for node in result.model.graph.node]
    assert kinds.count("GridSample") == 1
    assert kinds.count(PLUGIN) == 1


def mmcv_model(domain="mmdeploy"):
    names = ["value", "shapes", "starts", "locations", "weights"]
    types = [onnx.TensorProto.FLOAT] * 5
    types[1:3] = [onnx.TensorProto.INT64] * 2
    shapes = [["b", 64, 4, 8], [3, 2], [3], ["b", "q", 4, 3, 2, 2], ["b", "q", 4, 3, 2]]
    node = onnx.helper.make_node(
        "MMCVMultiScaleDeformableAttention", names, ["y"], "node", domain=domain, im2col_step=64
    )
    graph = onnx.helper.make_graph(
        [node],
        "mmcv",
        [
            onnx.helper.make_tensor_value_info(*each)
            for each in zip(names, types, shapes, strict=True)
        ],
        [onnx.helper.make_tensor_value_info("y", types[0], ["b", "q", 32])],
    )
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(domain, 1)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_the_operator_of_mmcv_is_replaced_without_being_asked_for(tmp_path):
    result = rewrite_model(mmcv_model(), [ReplaceMMCVDeformableAttention])
    ((_, _, plugin),) = plugin_nodes(result.model, result.plugins)
    assert plugin == MultiScaleDeformableAttention()
    value, locations, weights = feeds_for("detr").values()
    sizes, starts = np.array([(6, 8), (3, 4), (2, 2)]), np.array([0, 48, 60])
    arrays = [value, sizes, starts, locations, weights]
    names = [each.name for each in result.model.graph.input]
    feeds = dict(zip(names, arrays, strict=True))
    (got,) = run_model(result.model, feeds, result.plugins, base_dir=tmp_path).values()
    (expected,) = run_onnxruntime(EXPORTED["detr_ts"](), feeds_for("detr")).values()
    np.testing.assert_allclose(got, expected, atol=2e-6, rtol=1e-5)


def test_an_operator_of_that_name_in_another_domain_is_left():
    model = mmcv_model("elsewhere")
    assert rewrite_model(model, [ReplaceMMCVDeformableAttention]).model == model


@pytest.mark.trt
@pytest.mark.parametrize("name", ["detr_ts", "rt_detr_v2_dynamo"])
def test_a_real_build_takes_it(name, tmp_path):
    path = Path(tmp_path / "m.onnx")
    onnx.save(EXPORTED[name](), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        choice=RewriteChoice(also=[NAME]),
    )
    assert [record.name for record in built.manifest.plugins] == [PLUGIN]
