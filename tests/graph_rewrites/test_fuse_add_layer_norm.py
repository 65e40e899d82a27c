import numpy as np
import onnx
import onnx.parser
import pytest

from pluginkit import BuildOptions, RewriteChoice, find_rewrites
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.fuse_add_layer_norm import FuseAddLayerNorm
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

CHOICE = RewriteChoice(also=["FuseAddLayerNorm"])
NORM = "LayerNormalization<epsilon = 0.00001>(sum, weight, bias)"


def model_of(norm=NORM, elem_type="float", terms="residual, x", residual="[b, n, 8]", end="sum"):
    """A model with a norm of a sum, and what comes of the sum as a further output."""
    return onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 18]>
        main ({elem_type}[b, n, 8] x, {elem_type}{residual} residual, {elem_type}[8] weight,
              {elem_type}[8] bias, {elem_type}[1] one)
        => ({elem_type}[b, n, 8] y, {elem_type}[b, n, m] after)
        {{ sum = Add({terms})
           y = {norm}
           after = Mul({end}, one) }}""")


def feeds_of(model):
    rng = np.random.default_rng(5)
    feeds = {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        shape = [{"b": 2, "n": 3}.get(dim.dim_param, dim.dim_value) for dim in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        feeds[value.name] = rng.uniform(-2, 2, shape).astype(dtype)
    return feeds


def fused(model):
    result = rewrite_model(model, [FuseAddLayerNorm], CHOICE)
    assert rewrite_model(result.model, [FuseAddLayerNorm], CHOICE).applied == []
    return result, [plugin for _, _, plugin in plugin_nodes(result.model, result.plugins)]


def assert_same(model, result, tmp_path, tolerance):
    feeds = feeds_of(model)
    expected = run_onnxruntime(model, feeds)
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_allclose(got[name], array, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("elem_type", ["float", "float16"])
@pytest.mark.parametrize(
    "norm", [NORM, NORM.replace(", bias", ""), NORM.replace("<", "<axis = 2, ")], ids=str
)
def test_a_sum_and_its_norm_become_one_node(norm, elem_type, tmp_path):
    model = model_of(norm, elem_type, terms="x, residual")
    result, plugins = fused(model)
    assert [(each.epsilon, each.axis) for each in plugins] == [(np.float32(1e-5), -1)]
    assert [node.op_type for node in result.model.graph.node] == ["AddLayerNorm_PK", "Mul"]
    assert_same(model, result, tmp_path, 1e-5 if elem_type == "float" else 4e-3)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (model_of(end="y"), "nothing else reads the sum, which the plugin would write"),
        (model_of(residual="[8]"), "the terms of the sum, [8] and ['b', 'n', 8], are not known to"),
        (model_of(residual="[b, 1, 8]"), "the terms of the sum, ['b', 1, 8] and"),
        (model_of("LayerNormalization<axis = 1>(sum, weight)"), "weight or bias do not have the"),
        (model_of("LayerNormalization(sum, one)"), "weight or bias do not have the shape"),
        (model_of(NORM.replace("<", "<stash_type = 16, ")), "it computes in bfloat16"),
    ],
)
def test_what_is_left_and_why(model, reason):
    result = rewrite_model(model, [FuseAddLayerNorm], CHOICE)
    assert result.model == model
    assert [each.reason.startswith(reason) for each in result.refused] == [True], result.refused


def skip_model(op_type, inputs, outputs):
    """A model of ONNX Runtime's fused norm, whose sum feeds the next one."""
    return onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>
        main (float[b, n, 8] x, float[b, n, 8] skip, float[8] weight, float[8] bias, float[8] beta)
        => (float[b, n, 8] z, float[b, n, 8] last)
        {{ {outputs[0]} = com.microsoft.{op_type}({inputs})
           {outputs[1]} = com.microsoft.{op_type}({inputs.replace("x", "y").replace("skip", "t")})
        }}""")


@pytest.mark.parametrize(
    ("op_type", "inputs", "names", "plugin"),
    [
        ("SkipLayerNormalization", "x, skip, weight", ["FuseAddLayerNorm"], "AddLayerNorm_PK"),
        (
            "SkipLayerNormalization",
            "x, skip, weight, beta, bias",
            ["FuseAddLayerNorm"],
            "AddLayerNorm_PK",
        ),
        (
            "SkipSimplifiedLayerNormalization",
            "x, skip, weight, bias",
            ["FuseSpelledOutAddRMSNorm", "FuseAddRMSNormCast"],
            "AddRMSNorm_PK",
        ),
    ],
)
def test_norms_of_onnx_runtime_become_plugins(op_type, inputs, names, plugin, tmp_path):
    model = skip_model(op_type, inputs, ["y, , , t", "z, , , last"])
    result = rewrite_model(model, find_rewrites(), RewriteChoice(also=names))
    made = [node.op_type for node in result.model.graph.node]
    assert made.count(plugin) == 2, made
    assert set(made) <= {plugin, "Add", "Cast", "Identity"}
    assert_same(model, result, tmp_path, 2e-5)


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={"x": "1x1x8,2x3x8,4x9x8", "residual": "1x1x8,2x3x8,4x9x8"},
        choice=CHOICE,
    )
    assert [record.name for record in built.manifest.plugins] == ["AddLayerNorm_PK"]
