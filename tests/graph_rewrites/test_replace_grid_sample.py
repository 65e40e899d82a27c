import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper

from pluginkit import BuildOptions, RewriteChoice
from pluginkit.engine import build_engine
from pluginkit.graph_rewrites.replace_grid_sample import (
    ReplaceEveryGridSample,
    ReplaceGridSample,
    ReplaceVolumetricGridSample,
)
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from pluginkit.plugins.grid_sample import GridSample
from pluginkit.trt.target import target_from_text

PLUGINS = {GridSample.spec.key: GridSample}
BOTH = [ReplaceVolumetricGridSample, ReplaceGridSample]
FLOAT, HALF, INT32 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32
SIZES, OUT_SIZES = (4, 5, 6, 7), (3, 2, 4, 3)


def sample_model(axes=2, x=FLOAT, grid=FLOAT, opset=20, batch=2, **attributes):
    """One GridSample node."""
    shapes = {
        "x": (batch, 3, *SIZES[:axes]),
        "grid": (batch, *OUT_SIZES[:axes], axes),
        "y": (batch, 3, *OUT_SIZES[:axes]),
    }
    types = {"x": x, "grid": grid, "y": x}
    values = {n: helper.make_tensor_value_info(n, types[n], shapes[n]) for n in shapes}
    node = helper.make_node("GridSample", ["x", "grid"], ["y"], name="sample", **attributes)
    graph = helper.make_graph([node], "test", [values["x"], values["grid"]], [values["y"]])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def hide(model, *names):
    """Replace some inputs of the model's node by values of unknown type."""
    (sample,) = model.graph.node
    before, after = [], []
    for name in names:
        hidden = f"hidden_{name}"
        if name == "y":
            sample.output[0] = hidden
            after.append(helper.make_node("Mystery", [hidden], [name], domain="elsewhere"))
        else:
            sample.input[["x", "grid"].index(name)] = hidden
            before.append(helper.make_node("Mystery", [name], [hidden], domain="elsewhere"))
    nodes = [*before, sample, *after]
    graph = helper.make_graph(nodes, "test", model.graph.input, model.graph.output)
    opsets = [*model.opset_import, helper.make_opsetid("elsewhere", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def arrays_for(axes, seed=4):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 3, *SIZES[:axes])).astype(np.float32)
    grid = rng.uniform(-1.5, 1.5, (2, *OUT_SIZES[:axes], axes)).astype(np.float32)
    return {"x": x, "grid": grid}


def plugin_of(result):
    ((_, node, plugin),) = plugin_nodes(result.model, result.plugins)
    assert node.op_type == "GridSample_PK"
    return plugin


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align_corners", [0, 1])
def test_a_volume_becomes_the_plugin(mode, padding_mode, align_corners, tmp_path):
    attributes = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    model = sample_model(3, **attributes)
    result = rewrite_model(model, [ReplaceVolumetricGridSample])
    assert plugin_of(result) == GridSample(
        mode=mode, padding_mode=padding_mode, align_corners=bool(align_corners)
    )
    inputs = arrays_for(3)
    expected = run_onnxruntime(model, inputs)["y"]
    got = run_model(result.model, inputs, PLUGINS, base_dir=tmp_path)["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_every_sample_becomes_the_plugin_if_that_is_chosen(tmp_path):
    rewrites = [*BOTH, ReplaceEveryGridSample]
    model, inputs = sample_model(2, align_corners=1), arrays_for(2)
    left = rewrite_model(model, rewrites)
    assert (left.applied, left.opt_in) == ([], ["ReplaceEveryGridSample"])
    chosen = RewriteChoice(also=["ReplaceEveryGridSample"])
    result = rewrite_model(model, rewrites, chosen)
    assert plugin_of(result) == GridSample(align_corners=True)
    expected = run_onnxruntime(model, inputs)["y"]
    got = run_model(result.model, inputs, PLUGINS, base_dir=tmp_path)["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    again = rewrite_model(result.model, rewrites, chosen)
    assert (again.applied, again.model) == ([], result.model)
    (refused,) = rewrite_model(hide(model, "x", "grid", "y"), rewrites[2:], chosen).refused
    assert refused.reason == "the rank of x is unknown"


def test_defaults_are_the_operators():
    assert plugin_of(rewrite_model(sample_model(3), BOTH)) == GridSample()


@pytest.mark.parametrize("opset", [16, 20, 22])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_modes_have_other_names_before_opset_20(mode, opset):
    name = mode if opset >= 20 or mode == "nearest" else f"bi{mode}"
    model = sample_model(2, grid=HALF, opset=opset, mode=name)
    assert plugin_of(rewrite_model(model, BOTH)).mode == mode


@pytest.mark.parametrize(
    "model",
    [
        sample_model(1),
        sample_model(4),
        sample_model(2, x=HALF),
        sample_model(3, grid=HALF),
        sample_model(2, x=INT32, mode="nearest"),
        sample_model(3, x=INT32, mode="nearest"),
    ],
)
def test_what_no_tensorrt_takes_becomes_the_plugin(model):
    target = target_from_text("tensorrt:11.4")
    result = rewrite_model(model, BOTH, RewriteChoice(target=target))
    assert [applied.rewrite for applied in result.applied] == ["ReplaceGridSample"]
    assert result.retired == ["ReplaceVolumetricGridSample"]


def test_a_sequence_gives_the_same(tmp_path):
    model = sample_model(1, mode="cubic", padding_mode="reflection")
    inputs = arrays_for(1)
    (expected,) = onnx.reference.ReferenceEvaluator(model).run(None, inputs)
    got = run_model(rewrite_model(model, BOTH).model, inputs, PLUGINS, base_dir=tmp_path)["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [FLOAT, HALF, TensorProto.BFLOAT16])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_an_image_is_tensorrts_own(mode, dtype):
    model = sample_model(2, dtype, dtype, 22, mode=mode)
    result = rewrite_model(model, BOTH)
    assert result.model == model
    volumetric, other = sorted(refused.reason for refused in result.refused)
    assert other == "x has rank 4; a volume has rank 5"
    assert volumetric.startswith("TensorRT takes it: ")


@pytest.mark.parametrize(
    ("target", "is_left"),
    [("tensorrt:10.16", False), ("tensorrt:11.1", False), ("tensorrt:11.2", True),
     ("tensorrt_rtx:1.5", False), ("tensorrt_rtx:1.6", True), ("tensorrt_lean", False)],
)  # fmt: skip
def test_volumes_are_left_to_a_tensorrt_that_takes_them(target, is_left):
    result = rewrite_model(sample_model(3), BOTH, RewriteChoice(target=target_from_text(target)))
    assert bool(result.applied) != is_left
    if is_left:
        (refused,) = result.refused
        assert refused.reason.startswith("a volume, which ReplaceVolumetricGridSample takes")


def test_an_unknown_rank_is_a_reason():
    result = rewrite_model(hide(sample_model(3), "x", "grid", "y"), BOTH)
    reasons = {refused.rewrite: refused.reason for refused in result.refused}
    assert reasons == {
        "ReplaceVolumetricGridSample": "x has an unknown rank; a volume has rank 5",
        "ReplaceGridSample": "the rank of x is unknown; TensorRT takes 4 and 5",
    }


def test_the_rank_of_any_tensor_is_enough():
    assert rewrite_model(hide(sample_model(3), "x", "y"), BOTH).applied
    assert rewrite_model(hide(sample_model(3), "x", "grid"), BOTH).applied


def test_an_unknown_type_is_a_reason():
    (refused,) = rewrite_model(hide(sample_model(2), "grid"), [ReplaceGridSample]).refused
    assert refused.reason.startswith("the type of x or of the grid is unknown")


def test_integers_between_pixels_are_a_reason():
    model = sample_model(2, x=INT32, mode="linear")
    result = rewrite_model(model, [ReplaceGridSample])
    assert result.model == model
    (refused,) = result.refused
    assert "x is int32 in mode 'linear'; expected a floating-point type" in refused.reason


def test_a_type_that_no_plugin_takes_is_a_reason():
    model = sample_model(3, TensorProto.DOUBLE, TensorProto.DOUBLE)
    reasons = [refused.reason for refused in rewrite_model(model, BOTH).refused]
    assert any("is not a type that plugins take" in reason for reason in reasons)


@pytest.mark.parametrize("axes", [1, 3])
def test_applied_twice_changes_nothing(axes):
    once = rewrite_model(sample_model(axes), BOTH).model
    twice = rewrite_model(once, BOTH)
    assert twice.model == once
    assert twice.applied == []


# With tensorrt_rtx


def build(model, path, **options):
    onnx.save(model, path)
    return build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        plugins=PLUGINS,
        **options,
    )


@pytest.mark.trt
@pytest.mark.parametrize("dtype", [FLOAT, HALF, TensorProto.BFLOAT16])
def test_a_volume_of_any_batch_size_builds_with_the_plugin(dtype, tmp_path):
    model = sample_model(3, dtype, dtype, 22, "n", mode="linear", padding_mode="border")
    rewritten = rewrite_model(model, [ReplaceVolumetricGridSample]).model
    result = build(rewritten, tmp_path / "volume.onnx", rewrites=[], shapes={
        name: ((1, *rest), (2, *rest), (4, *rest))
        for name, rest in (("x", (3, *SIZES[:3])), ("grid", (*OUT_SIZES[:3], 3)))
    })  # fmt: skip
    assert result.plan_path.stat().st_size > 0
    assert "GridSample_PK" in result.plan_path.read_bytes().decode("latin-1")


@pytest.mark.trt
@pytest.mark.parametrize(
    "model",
    [
        sample_model(1, mode="cubic"),
        sample_model(2, x=HALF),
        sample_model(2, x=INT32, mode="nearest"),
        sample_model(4),
    ],
)
def test_what_tensorrt_refuses_builds_after_the_rewrite(model, tmp_path):
    result = build(model, tmp_path / "model.onnx", rewrites=BOTH)
    assert "GridSample_PK" in result.plan_path.read_bytes().decode("latin-1")


@pytest.mark.trt
@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_what_is_left_to_tensorrt_builds(axes, mode, padding_mode, tmp_path):
    model = sample_model(axes, mode=mode, padding_mode=padding_mode, align_corners=1)
    result = build(model, tmp_path / "model.onnx", rewrites=BOTH)
    assert "GridSample_PK" not in result.plan_path.read_bytes().decode("latin-1")
