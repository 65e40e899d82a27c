"""Real builds with tensorrt_rtx, which needs no GPU, and all that is checked before a run."""

import itertools
import json
import os
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit import BuildOptions
from pluginkit.contract.plugin import Plugins
from pluginkit.device.gpus import Gpu
from pluginkit.discovery import find_plugins
from pluginkit.engine import BuildObserver, build_engine, check_manifest, run_engine
from pluginkit.engine.build.profiles import ShapeRange
from pluginkit.engine.plan.manifest import Tensor
from pluginkit.errors import (
    CallbackError,
    MissingDependencyError,
    ModelError,
    ParseError,
    PlanError,
    UsageError,
)
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice

pytestmark = pytest.mark.trt

MODELS = Path(__file__).parents[2] / "examples" / "models"
FLAVOUR = "tensorrt_rtx"
RTX = BuildOptions(flavour=FLAVOUR)

Values = Sequence[onnx.ValueInfoProto]


def tensor(name: str, shape: Sequence[str | int | None], dtype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def save(path: Path, nodes: list[onnx.NodeProto], inputs: Values, outputs: Values) -> Path:
    graph = helper.make_graph(nodes, "graph", list(inputs), list(outputs))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


@pytest.fixture
def relu(tmp_path: Path) -> Path:
    node = helper.make_node("Relu", ["x"], ["y"], name="relu")
    return save(tmp_path / "relu.onnx", [node], [tensor("x", ["n", 4])], [tensor("y", ["n", 4])])


HALVE = '''
from pluginkit import CudaKernel, Input, Launch, Output, Plugin, ceil_div, float32

SOURCE = """
extern "C" __global__ void halve(const float* x, float* y, long long n) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] / 2;
}
"""

class Halve(Plugin):
    """y = x / 2"""

    plugin_name = "NAME"
    x = Input(float32)
    y = Output(float32)
    kernel = CudaKernel(SOURCE, "halve")

    def output_shapes(self, x):
        if x.ndim == 1:
            raise RuntimeError("halve takes no vectors")
        return x.shape

    def launches(self, x, y):
        return Launch(self.kernel, ceil_div(x.size, 256), 256, (x, y, x.size))

    def reference(self, x):
        return x / 2
'''


@dataclass(frozen=True)
class Halve:
    """A folder with one plugin; its shape function fails for inputs of rank 1."""

    folder: Path
    name: str

    @property
    def plugins(self) -> Plugins:
        return find_plugins([self.folder])


_numbers = itertools.count()


@pytest.fixture
def halve(tmp_path: Path) -> Halve:
    # The registry lives as long as the process, so each test has another plugin.
    name = f"Halve{next(_numbers)}_PK"
    folder = tmp_path / "halves"
    folder.mkdir()
    (folder / "halve.py").write_text(HALVE.replace("NAME", name), encoding="utf-8")
    return Halve(folder, name)


def save_halve(halve: Halve, path: Path, shape: Sequence[str | int], version: str = "1") -> Path:
    node = helper.make_node(
        halve.name, ["x"], ["y"], name="halve", domain="pluginkit", plugin_version=version,
        plugin_namespace="pluginkit",
    )  # fmt: skip
    return save(path, [node], [tensor("x", shape)], [tensor("y", shape)])


def folder_content(path: Path) -> set[str]:
    return {one.name for one in path.iterdir()}


def reductions_of(path: Path) -> list[str]:
    nodes = (node for node in onnx.load(path).graph.node if node.op_type == "ScatterElements")
    return [one.s.decode() for node in nodes for one in node.attribute if one.name == "reduction"]


@pytest.mark.parametrize("name", ["sage_dyn", "sage_ts"])
def test_a_real_model_builds_for_three_capabilities(name: str, tmp_path: Path) -> None:
    capabilities = [(8, 6), (8, 9), (12, 0)]
    plan = tmp_path / f"{name}.plan"
    result = build_engine(
        MODELS / f"{name}.onnx",
        plan,
        shapes={"x": "1x16,500x16,4000x16", "edge_index": "2x1,2x2000,2x20000"},
        options=BuildOptions(compute_capabilities=capabilities, flavour=FLAVOUR),
    )
    manifest = check_manifest(
        plan,
        flavour=FLAVOUR,
        plugin_sources={one.key: one.source_sha256 for one in result.manifest.plugins},
    )
    assert manifest == result.manifest
    assert manifest.compute_capabilities == ("8.6", "8.9", "12.0")
    assert manifest.plan_bytes == plan.stat().st_size > 100_000
    assert manifest.profiles[0]["edge_index"].max == (2, 20000)
    assert not result.profiles[0].defaulted
    assert [one.key for one in manifest.plugins] == [("ScatterElements_PK", "1", "pluginkit")]
    used = [str(node.attributes["reduction"]) for node in manifest.plugins[0].nodes]
    assert sorted(used) == sorted(reductions_of(MODELS / f"{name}.onnx"))
    assert {call.attributes["reduction"] for call in manifest.plugins[0].calls} == set(used)
    assert {call.shapes[0][0] for call in manifest.plugins[0].calls} == {1, 500, 4000}
    assert sum("ScatterElements_PK" in each.made for each in result.rewrite.applied) == 5
    assert folder_content(tmp_path) == {plan.name, f"{plan.name}.json"}


def test_the_plan_holds_its_plugins_attributes(halve: Halve, tmp_path: Path) -> None:
    model = save_halve(halve, tmp_path / "halve.onnx", ["n", 4])
    result = build_engine(model, plugins=halve.plugins, options=RTX)
    assert halve.name.encode() in result.plan_path.read_bytes()
    (record,) = result.manifest.plugins
    assert record.interface == "v3"
    assert record.nodes[0].node == f"main graph / {halve.name} 'halve'"
    assert len(record.source_sha256) == 64


def test_a_changed_plugin_is_found_out(halve: Halve, tmp_path: Path) -> None:
    model = save_halve(halve, tmp_path / "halve.onnx", ["n", 4])
    plugins = halve.plugins
    result = build_engine(model, plugins=plugins, options=RTX)
    module = halve.folder / "halve.py"
    module.write_text(module.read_text().replace("x[i] / 2", "x[i] / 3"))
    with pytest.raises(PlanError, match=f"PK533.*{halve.name}.*has changed"):
        run_engine(result.plan_path, {"x": np.zeros((1, 4), np.float32)}, plugins=plugins)


def test_a_plan_whose_plugin_is_not_there_says_so(halve: Halve, tmp_path: Path) -> None:
    model = save_halve(halve, tmp_path / "halve.onnx", ["n", 4])
    result = build_engine(model, plugins=halve.plugins, options=RTX)
    with pytest.raises(
        PlanError, match=f"(?s)PK533.*needs plugin {halve.name}.*not there.*--plugins"
    ):
        run_engine(result.plan_path, {"x": np.zeros((1, 4), np.float32)}, plugins={})


def test_a_plan_for_another_capability_says_so(relu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = BuildOptions(flavour=FLAVOUR, compute_capabilities=[(8, 9)])
    plan = build_engine(relu, options=options).plan_path
    monkeypatch.setattr(
        "pluginkit.engine.plan.open_engine.find_gpu", lambda: Gpu("NVIDIA H200", (9, 0), 2**37)
    )
    with pytest.raises(PlanError, match=r"PK533.*built for compute capability 8\.9.*has 9\.0"):
        run_engine(plan, {"x": np.zeros((1, 4), np.float32)})


def test_running_without_a_gpu_says_so(relu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = build_engine(relu, options=RTX).plan_path
    monkeypatch.setattr("pluginkit.engine.plan.open_engine.find_gpu", lambda: None)
    with pytest.raises(MissingDependencyError, match="PK540.*needs a GPU"):
        run_engine(plan, {"x": np.zeros((1, 4), np.float32)})


def test_every_refused_node_is_named_with_the_parsers_reason(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Multinomial", ["x"], ["i"], name="first", sample_size=3),
        helper.make_node("Relu", ["x"], ["y"], name="fine"),
        helper.make_node("Multinomial", ["y"], ["j"], name="second", sample_size=3),
    ]
    outputs = [tensor(name, ["n", 3], TensorProto.INT32) for name in ("i", "j")]
    model = save(tmp_path / "dice.onnx", nodes, [tensor("x", ["n", 4])], outputs)
    with pytest.raises(ParseError, match="PK520.*Multinomial 'first'") as caught:
        build_engine(model, rewrites=[], options=RTX)
    assert "Multinomial 'first', Multinomial 'second': " in str(caught.value.cause)
    assert "fine" not in str(caught.value)
    assert folder_content(tmp_path) == {"dice.onnx"}


def test_a_node_that_the_parser_does_not_name_is_named(tmp_path: Path) -> None:
    # Without rewrites the parser says "Unsupported reduction type", and not of which node.
    with pytest.raises(ParseError) as caught:
        build_engine(MODELS / "sage_dyn.onnx", tmp_path / "sage.plan", rewrites=[], options=RTX)
    assert "ScatterElements 'node_ScatterElements_22'" in caught.value.message
    for name in ("node_scatter_reduce", "node_scatter_add", "node_scatter_add_2"):
        assert f"ScatterElements '{name}'" in str(caught.value.cause)
    assert folder_content(tmp_path) == set()


def test_a_refused_node_without_a_name_is_called_by_its_output(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>
        g (float[2, 2] x) => (float[2, 2] y)
        { a = com.microsoft.CropAndResize (x) y = Relu (a) }"""
    model = tmp_path / "model.onnx"
    onnx.save(onnx.parser.parse_model(text), model)
    with pytest.raises(ParseError) as caught:
        build_engine(model, options=RTX)
    assert "refuses CropAndResize 'a'" in caught.value.message
    assert "--from" in caught.value.fix
    assert "model.onnx:a" in caught.value.fix
    assert "''" not in str(caught.value)


def test_the_reason_why_a_rewrite_left_a_refused_node_is_told(tmp_path: Path) -> None:
    node = helper.make_node("ScatterElements", ["x", "i", "u"], ["y"], name="s", reduction="add")
    shape = [1] * 8 + [4]
    inputs = [tensor("x", shape), tensor("i", shape, TensorProto.INT64), tensor("u", shape)]
    model = save(tmp_path / "rank_nine.onnx", [node], inputs, [tensor("y", shape)])
    with pytest.raises(ParseError, match="ScatterElements 's'") as caught:
        build_engine(model, options=RTX)
    assert "ReplaceScatterElements did not replace 's': " in str(caught.value.cause)


def test_an_exception_in_a_plugin_comes_back_chained(halve: Halve, tmp_path: Path) -> None:
    model = save_halve(halve, tmp_path / "vector.onnx", ["n"])
    with pytest.raises(CallbackError) as caught:
        build_engine(model, plugins=halve.plugins, options=RTX)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert str(caught.value.__cause__) == "halve takes no vectors"
    assert not (tmp_path / "vector.plan").exists()


def test_an_unknown_plugin_names_the_node_and_the_nearest(halve: Halve, tmp_path: Path) -> None:
    model = save_halve(halve, tmp_path / "halve.onnx", ["n", 4], version="2")
    with pytest.raises(ModelError, match=f"PK523.*{halve.name} version 2") as caught:
        build_engine(model, plugins=halve.plugins, options=RTX)
    assert "'halve'" in str(caught.value.where)
    assert f"{halve.name} version 1" in str(caught.value.cause)


def test_ctrl_c_ends_the_build_and_leaves_nothing(relu: Path) -> None:
    class PressOnce(BuildObserver):
        pressed = False

        def step_complete(self, name: str, step: int) -> None:
            if not self.pressed:
                self.pressed = True
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build_engine(relu, options=RTX, observer=PressOnce())
    assert folder_content(relu.parent) == {"relu.onnx"}


def test_progress_is_told_in_balanced_phases(relu: Path) -> None:
    open_phases: list[str] = []
    seen: list[str] = []

    class Phases(BuildObserver):
        def phase_start(self, name: str, parent: str | None, num_steps: int) -> None:
            assert parent is None or parent in open_phases
            open_phases.append(name)
            seen.append(name)

        def phase_finish(self, name: str) -> None:
            open_phases.remove(name)

    build_engine(relu, options=RTX, observer=Phases())
    assert "Building engine" in seen
    assert open_phases == []


@pytest.mark.parametrize("name", ["x[0]", "*"])
def test_the_name_of_an_input_is_no_pattern(name: str, tmp_path: Path) -> None:
    """Polygraphy's profiles take names for patterns."""
    node = helper.make_node("Concat", [name, "x"], ["y"], axis=0)
    inputs = [tensor(name, ["n", 4]), tensor("x", ["m", 4])]
    path = save(tmp_path / "joined.onnx", [node], inputs, [tensor("y", ["k", 4])])
    build_engine(path, shapes={name: "1x4,2x4,5x4", "x": "1x4,2x4,6x4"}, options=RTX)
    (profile,) = check_manifest(path.with_suffix(".plan")).profiles
    assert (profile[name].max, profile["x"].max) == ((5, 4), (6, 4))


def test_a_static_model_needs_no_profile(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    model = save(tmp_path / "static.onnx", [node], [tensor("x", [2])], [tensor("y", [2])])
    options = BuildOptions(flavour=FLAVOUR, compute_capabilities=[(8, 9)])
    result = build_engine(model, options=options)
    assert result.profiles[0].ranges == {}
    assert result.manifest.inputs == (Tensor("x", "float32", (2,)),)


def test_a_failed_build_keeps_the_plan_of_before(relu: Path) -> None:
    plan = build_engine(relu, options=RTX).plan_path
    before = plan.read_bytes()
    with pytest.raises(UsageError, match="PK502"):
        build_engine(relu, shapes={"x": "1x5"}, options=RTX)
    assert plan.read_bytes() == before
    assert check_manifest(plan).plan_bytes == len(before)


def test_options_reach_the_builder(relu: Path, tmp_path: Path) -> None:
    cache = tmp_path / "timing.cache"
    options = BuildOptions(flavour=FLAVOUR, workspace_bytes=2**20, timing_cache=cache)
    for _ in range(2):  # the second build reads the cache
        build_engine(relu, options=options)
    assert cache.stat().st_size > 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"fp16": True}, "PK513.*precision comes from the model"),
        ({"version_compatible": True}, "PK513"),
        ({"interface": "v2"}, "PK513.*IPluginV3 plugins only"),
        ({"workspace_bytes": 0}, "PK526"),
        ({"compute_capabilities": [(9, 0)]}, "PK512.*7.5, 8.0, 8.6, 8.9, 12.0, 12.1"),
    ],
)
def test_what_the_flavour_cannot_do_is_said(relu: Path, options: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError, match=code):
        build_engine(relu, options=BuildOptions(flavour=FLAVOUR, **options))
    assert folder_content(relu.parent) == {"relu.onnx"}


def test_shapes_for_no_input_are_refused_and_nothing_is_left(relu: Path) -> None:
    with pytest.raises(UsageError, match="PK501"):
        build_engine(relu, shapes={"y": "1x4"}, options=RTX)
    assert folder_content(relu.parent) == {"relu.onnx"}


def test_lean_builds_nothing(relu: Path) -> None:
    with pytest.raises(MissingDependencyError, match="PK510.*tensorrt_lean"):
        build_engine(relu, options=BuildOptions(flavour="tensorrt_lean"))


def test_the_model_is_never_overwritten(relu: Path) -> None:
    before = relu.read_bytes()
    with pytest.raises(UsageError, match="PK525.*is the model"):
        build_engine(relu, relu, options=RTX)
    assert relu.read_bytes() == before


def test_a_shape_tensor_takes_its_values_from_shapes(tmp_path: Path) -> None:
    node = helper.make_node("Reshape", ["x", "shape"], ["y"], name="reshape")
    inputs = [tensor("x", ["n", 4]), tensor("shape", [2], TensorProto.INT64)]
    model = save(tmp_path / "reshape.onnx", [node], inputs, [tensor("y", [None, None])])
    with pytest.raises(UsageError, match="PK505.*'?shape"):
        build_engine(model, options=RTX, choice=RewriteChoice(skip=["DetachIntegers"]))
    shapes = {"x": "1x4,2x4,8x4", "shape": "1x4,2x4,8x4"}
    manifest = build_engine(model, shapes=shapes, options=RTX).manifest
    assert manifest.profiles[0]["shape"].is_shape_tensor
    assert manifest.profiles[0]["shape"].max == (8, 4)


def test_a_plan_has_a_profile_for_each_range(relu: Path) -> None:
    one, two = build_engine(relu, shapes={"x": "1x4/2x4,8x4,64x4"}, options=RTX).profiles
    assert one.ranges == {"x": ShapeRange((1, 4), (1, 4), (1, 4))}
    assert two.ranges == {"x": ShapeRange((2, 4), (8, 4), (64, 4))}
    manifest = check_manifest(relu.with_suffix(".plan"))
    assert [ranges["x"].max for ranges in manifest.profiles] == [(1, 4), (64, 4)]


def test_a_plugin_is_asked_about_every_profile(tmp_path: Path) -> None:
    shapes = {"x": "1x16/2x16,500x16,4000x16", "edge_index": "2x1/2x1,2x2000,2x20000"}
    plan = tmp_path / "sage.plan"
    built = build_engine(MODELS / "sage_dyn.onnx", plan, shapes=shapes, options=RTX)
    assert len(built.profiles) == 2
    texts = re.findall(rb'\[\{"shapes":.*?\}\](?=\0)', plan.read_bytes())
    largest = {max(one["shapes"][0][0] for one in json.loads(text)) for text in texts}
    assert largest == {1, 4000}


def test_external_data_is_found_in_the_models_folder(tmp_path: Path) -> None:
    weight = np.arange(4096, dtype=np.float32).reshape(64, 64)
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="matmul")
    graph = helper.make_graph(
        [node], "graph", [tensor("x", ["n", 64])], [tensor("y", ["n", 64])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = tmp_path / "matmul.onnx"
    onnx.save(model, path, save_as_external_data=True, location="matmul.data", size_threshold=0)
    plan = build_engine(path, options=RTX).plan_path
    assert plan.stat().st_size > weight.nbytes
    (tmp_path / "matmul.data").unlink()
    with pytest.raises(ModelError, match="matmul.data"):
        build_engine(path, tmp_path / "second.plan", options=RTX)
    assert not (tmp_path / "second.plan").exists()


Corrupt = Callable[[bytes], bytes]


@pytest.mark.parametrize("corrupt", [lambda plan: plan[:-1000], lambda plan: plan[::-1]])
def test_a_damaged_plan_never_reaches_tensorrt(relu: Path, corrupt: Corrupt) -> None:
    plan = build_engine(relu, options=RTX).plan_path
    plan.write_bytes(corrupt(plan.read_bytes()))
    with pytest.raises(PlanError, match="PK533"):
        run_engine(plan, {"x": np.zeros((1, 4), np.float32)})
