"""Plugins in branches and bodies take their workspace as an output that nobody reads."""

import numpy as np
import onnx
import pytest

from pluginkit.checking.kernel_run import run_kernels
from pluginkit.contract import calls
from pluginkit.contract.scratch import plugin_class, scratch_bytes, scratch_variant
from pluginkit.discovery import find_plugins
from pluginkit.isolation.class_location import location_of
from pluginkit.kernels.enqueue_steps import enqueue_steps
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

PLUGINS = find_plugins()
WITH_SCRATCH = [cls for cls in PLUGINS.values() if scratch_variant(cls) is not None]
TEXT = """
<ir_version: 9, opset_import: ["" : 18]>
g (float[n, 4] x, int64[m, 4] i, float[m, 4] u, bool c) => (float[n, 4] y)
  <int64 count = {2}, bool always = {1}>
{
  y = Loop (count, always, x) <body = b (int64 k, bool go, float[n, 4] s)
    => (bool on, float[n, 4] t) {
      on = Identity (go)
      t = If (c) <
        then_branch = p () => (float[n, 4] a) { a = ScatterElements <reduction = "add"> (s, i, u) },
        else_branch = q () => (float[n, 4] d) { d = ScatterND <reduction = "add"> (s, j, v)
          j = Constant <value = int64[1, 1] {0}> () v = Constant <value = float[1, 4] {1, 2, 3, 4}> () }
      >
  }>
}
"""  # noqa: E501


def _model():
    model = onnx.parser.parse_model(TEXT)
    branch = model.graph.node[0].attribute[0].g.node[1].attribute[1].g
    nodes = [*branch.node[1:], branch.node[0]]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del branch.node[:]
    branch.node.extend(copies)
    return model


def _nodes(model):
    graphs = [model.graph]
    for graph in graphs:
        graphs += [one.g for node in graph.node for one in node.attribute if one.HasField("g")]
    return [node for graph in graphs for node in graph.node]


def test_plugins_in_nested_bodies_get_another_output_and_twice_changes_nothing():
    result = rewrite_model(_model(), plugins=PLUGINS)
    onnx.checker.check_model(result.model, full_check=False)
    found = {node.op_type: len(node.output) for node in _nodes(result.model) if node.domain}
    assert found == {"ScatterElements_PK_Scratch": 2, "ScatterND_PK_Scratch": 2}
    again = rewrite_model(result.model, plugins=PLUGINS)
    assert again.applied == []
    assert again.model == result.model


@pytest.mark.parametrize("taken", [True, False])
def test_the_reference_gives_the_same(taken, tmp_path):
    feeds = {
        "x": np.ones((3, 4), np.float32),
        "i": np.array([[0, 1, 2, 0], [1, 1, 1, 1]]),
        "u": np.arange(8, dtype=np.float32).reshape(2, 4),
        "c": np.array(taken),
    }
    result = rewrite_model(_model(), plugins=PLUGINS)
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    np.testing.assert_array_equal(got["y"], run_onnxruntime(_model(), feeds)["y"])


def test_a_plugin_in_the_main_graph_keeps_its_workspace():
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 18]> g (float[n, 4] x, int64[n, 4] i) => '
        '(float[n, 4] y) { y = ScatterElements <reduction = "add"> (x, i, x) }'
    )
    result = rewrite_model(model, plugins=PLUGINS)
    assert [node.op_type for node in result.model.graph.node] == ["ScatterElements_PK"]


def test_every_shipped_plugin_with_a_workspace_has_a_variant_or_sizes():
    """Those with sizes that depend on data cannot be in a body at all."""
    assert {cls.__name__ for cls in WITH_SCRATCH} >= {
        "ScatterElements",
        "ScatterND",
        "TopK",
        "GridSample",
    }
    for cls in PLUGINS.values():
        if "workspace_bytes" in cls.spec.overrides:
            assert cls.spec.sizes or cls in WITH_SCRATCH


def _bindings(cls):
    for case in cls.cases():
        plugin = cls(**case.attributes)
        there = [
            port.name
            for port, array in zip(cls.spec.inputs, case.inputs, strict=True)
            if array is not None
        ]
        plugin = plugin.with_inputs(*there)
        arrays = [array for array in case.inputs if array is not None]
        yield case.name, plugin, calls.describe_arrays(plugin, arrays)


@pytest.mark.parametrize("cls", WITH_SCRATCH, ids=lambda cls: cls.__name__)
def test_the_bound_holds_and_follows_from_symbolic_shapes(cls):
    count = 0
    for name, plugin, inputs in _bindings(cls):
        needed = calls.largest_workspace_bytes(plugin, inputs)
        assert scratch_bytes(plugin, inputs) >= max(needed, 1), name
        count += 1
    assert count > 3


@pytest.mark.parametrize("cls", WITH_SCRATCH, ids=lambda cls: cls.__name__)
def test_the_variant_launches_the_same_in_its_output(cls):
    for name, plugin, inputs in _bindings(cls):
        variant = plugin_class((f"{cls.spec.plugin_name}_Scratch", *cls.spec.key[1:]), PLUGINS)
        other = variant(**plugin.attribute_values)._changed("_present", plugin.present)
        outputs = calls.describe_outputs(other, inputs)
        assert [desc.name for desc in outputs][-1] == "scratch"
        steps = enqueue_steps(other, inputs, outputs)
        plain = enqueue_steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
        assert [type(step) for step in steps.steps] == [type(step) for step in plain.steps], name
        kinds = {
            arg.slot.kind
            for launch in steps.launches
            for arg in launch.args
            if hasattr(arg, "slot")
        }
        assert "workspace" not in kinds


def test_scratch_that_a_launch_does_not_write_is_no_finding():
    (scatter,) = (cls for cls in WITH_SCRATCH if cls.__name__ == "ScatterND")
    places, updates = np.zeros((1, 1), np.int64), np.ones((1, 4), np.float32)
    run = run_kernels(scratch_variant(scatter)(reduction="add"), [updates, places, updates])
    assert run.findings == []
    np.testing.assert_array_equal(run.outputs[0], updates + updates)


def test_a_variant_is_found_by_another_process():
    for cls in WITH_SCRATCH:
        variant = scratch_variant(cls)
        assert location_of(variant).load() is variant
