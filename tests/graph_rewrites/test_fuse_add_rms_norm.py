from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import onnx.parser
import pytest
from onnx import numpy_helper

from pluginkit import BuildOptions, RewriteChoice
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.fuse_add_rms_norm import (
    FuseAddRMSNorm,
    FuseAddRMSNormCast,
    FuseSpelledOutAddRMSNorm,
)
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from pluginkit.plugins.add_rms_norm import AddRMSNorm

ALL = [FuseAddRMSNorm, FuseSpelledOutAddRMSNorm, FuseAddRMSNormCast]
NAMES = [each.__name__ for each in ALL]
EXPORTED = {path.stem[9:]: path for path in (Path(__file__).parent / "models").glob("rms_*.onnx")}

#: As the models store it.
EPSILON = float(np.float32(1e-5))

SUM = "sum = Add(residual, x)\n"
WHOLE = SUM + "y = RMSNormalization<epsilon = 0.00001>(sum, weight)\n"
RMS = """square = Pow(wide, two)
mean = ReduceMean(square, axes)
shifted = Add(mean, eps)
root = Sqrt(shifted)
inverse = Reciprocal(root)
normalized = Mul(wide, inverse)
"""
LLAMA = f"""{SUM}wide = Cast<to = 1>(sum)
{RMS}rounded = Cast<to = 10>(normalized)
y = Mul(weight, rounded)
"""
GEMMA = f"""{SUM}wide = Cast<to = 1>(sum)
{RMS}scaled = Mul(normalized, weight)
y = Cast<to = 10>(scaled)
"""
BARE = (SUM + RMS + "y = Mul(weight, normalized)\n").replace("wide", "sum")
MEAN = "ReduceMean(square, axes)"


def model_of(
    body,
    elem_type="float16",
    weight=None,
    x="[b, n, 8]",
    residual="[b, n, 8]",
    weights="[8]",
    opset=18,
    result=None,
    eps=0.00001,
    stored=np.float32,
):
    """A model whose body computes 'y', and 'sum' as a further output."""
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : {23 if "RMSNorm" in body else opset}]>
        main ({elem_type}{x} x, {elem_type}{residual} residual,
              {weight or elem_type}{weights} weight)
        => ({result or elem_type}[b, n, m] y, {elem_type}[b, n, m] sum)
        <float two = {{2}}, float one = {{1}}, float minus_half = {{-0.5}}, float eps = {{{eps}}},
         int64[1] axes = {{-1}}>
        {{ {body} }}""")
    for tensor in model.graph.initializer[:4]:
        array = numpy_helper.to_array(tensor).astype(stored)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model


def arrays_for(model):
    rng = np.random.default_rng(5)
    sizes, feeds = {"b": 2, "n": 3, "m": 8}, {}
    for value in model.graph.input:
        tensor = value.type.tensor_type
        shape = [sizes.get(dim.dim_param, dim.dim_value) for dim in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        feeds[value.name] = rng.uniform(-2, 2, shape).astype(dtype)
    return feeds


def rewritten(model):
    """Apply the opt-in rewrites to the model."""
    return rewrite_model(model, ALL, choice=RewriteChoice(also=NAMES))


def fused(model):
    """Rewrite the model; return the result and its plugins."""
    result = rewritten(model)
    return result, [plugin for _, _, plugin in plugin_nodes(result.model, result.plugins)]


def assert_same(model, result, tmp_path, rtol=2e-3):
    feeds = arrays_for(model)
    expected = run_onnxruntime(model, feeds)
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        assert np.isfinite(array.astype(float)).all()
        np.testing.assert_allclose(
            got[name].astype(float), array.astype(float), rtol=rtol, atol=rtol, err_msg=name
        )


def test_the_exported_models_are_there():
    exporters = {"ts", "dynamo18", "dynamo23"}
    families = {f"{family}_{each}" for family in ("llama", "t5", "gemma") for each in exporters}
    assert set(EXPORTED) == families | {"torch_dynamo18", "torch_dynamo23"}


@pytest.mark.parametrize("name", sorted(EXPORTED))
def test_what_pytorch_exports_becomes_four_plugins_in_a_row(name):
    result, plugins = fused(onnx.load(EXPORTED[name]))
    assert plugins == [AddRMSNorm(epsilon=EPSILON)] * 4
    made = [node for node in result.model.graph.node if node.op_type == "AddRMSNorm_PK"]
    for node, following in pairwise(made):
        assert node.output[1] == following.input[1]  # the sum is the next residual


# Of gemma_dynamo23, whose weights are float32 and whose sums are float16, ONNX Runtime inlines the
# first RMSNormalization into a product of the two types, and refuses that.
@pytest.mark.parametrize("name", sorted(EXPORTED.keys() - {"gemma_dynamo23"}))
def test_what_pytorch_exports_gives_the_same(name, tmp_path):
    model = onnx.load(EXPORTED[name])
    result, _ = fused(model)
    assert_same(model, result, tmp_path, rtol=1e-2)  # float16, through four layers


def test_a_float32_weight_of_an_rms_normalization_is_that_of_the_spelled_out_norm(tmp_path):
    body = SUM + "scaled = RMSNormalization(sum, weight)\ny = Cast<to = 10>(scaled)\n"
    result, plugins = fused(model_of(body, weight="float"))
    assert plugins == [AddRMSNorm()]
    assert_same(model_of(GEMMA, weight="float"), result, tmp_path)


@pytest.mark.parametrize("name", ["llama_ts", "t5_dynamo18", "gemma_dynamo23"])
def test_a_model_is_left_alone_unless_they_are_asked_for(name):
    model = onnx.load(EXPORTED[name])
    result = rewrite_model(model)
    assert result.model == model
    assert [name for name in result.opt_in if name in NAMES] == NAMES
    assert len(rewrite_model(model, choice=RewriteChoice(also=NAMES)).applied) == 4
    assert len(rewrite_model(model, choice=RewriteChoice(only=NAMES)).applied) == 4


@pytest.mark.parametrize("name", ["llama_ts", "t5_dynamo18", "gemma_dynamo23"])
def test_applied_twice_changes_nothing(name):
    once = rewritten(onnx.load(EXPORTED[name])).model
    twice = rewritten(once)
    assert twice.applied == []
    assert twice.model == once


def but(body, *changes):
    """Replace lines of the body; an empty replacement removes a line."""
    for old, new in changes:
        assert old in body
        body = body.replace(old, new)
    return body


NO_ROOT, NO_INVERSE = ("root = Sqrt(shifted)\n", ""), ("inverse = Reciprocal(root)\n", "")
SPELLINGS = {
    "whole": WHOLE,
    "llama": LLAMA,
    "gemma": GEMMA,
    "multiplied": but(LLAMA, ("Pow(wide, two)", "Mul(wide, wide)")),
    "one over": but(LLAMA, ("Reciprocal(root)", "Div(one, root)")),
    "divided": but(LLAMA, NO_INVERSE, ("Mul(wide, inverse)", "Div(wide, root)")),
    "power": but(LLAMA, NO_ROOT, ("Reciprocal(root)", "Pow(shifted, minus_half)")),
    "either way round": but(
        LLAMA,
        ("Mul(wide, inverse)", "Mul(inverse, wide)"),
        ("Mul(weight, rounded)", "Mul(rounded, weight)"),
        ("Add(mean, eps)", "Add(eps, mean)"),
    ),
    "cast twice": but(
        LLAMA,
        ("square =", "again = Cast<to = 1>(sum)\nsquare ="),
        ("Mul(wide, inverse)", "Mul(again, inverse)"),
    ),
    "axes as an attribute": but(LLAMA, (MEAN, "ReduceMean<axes = [-1]>(square)")),
    "an axis from the front": but(LLAMA, (MEAN, "ReduceMean<axes = [2]>(square)")),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_becomes_one_node(name, tmp_path):
    body = SPELLINGS[name]
    weight, opset = "float" if name == "gemma" else None, 17 if "axes =" in body else 18
    model = model_of(body, weight=weight, opset=opset)
    result, plugins = fused(model)
    assert plugins == [AddRMSNorm(epsilon=EPSILON)]
    (made,) = result.model.graph.node
    assert list(made.input) == ["x", "residual", "weight"]
    assert list(made.output) == ["y", "sum"]
    assert_same(model, result, tmp_path)


@pytest.mark.parametrize("elem_type", ["float", "float16", "bfloat16"])
def test_an_rms_normalization_of_every_type(elem_type, tmp_path):
    model = model_of(WHOLE, elem_type)
    result, plugins = fused(model)
    assert plugins == [AddRMSNorm(epsilon=EPSILON)]
    if elem_type != "bfloat16":  # of which ONNX Runtime has neither operator
        assert_same(model, result, tmp_path, rtol=1e-6 if elem_type == "float" else 2e-3)


def test_float32_needs_no_casts(tmp_path):
    model = model_of(BARE, "float")
    result, plugins = fused(model)
    assert plugins == [AddRMSNorm(epsilon=EPSILON)]
    assert_same(model, result, tmp_path, rtol=1e-6)


@pytest.mark.parametrize("axis", [1, -2, 0])
def test_several_axes(axis, tmp_path):
    body = SUM + f"y = RMSNormalization<axis = {axis}>(sum, weight)\n"
    shape = "[2, 3, 8]"
    weights = "[2, 3, 8]" if axis == 0 else "[3, 8]"
    model = model_of(body, "float", x=shape, residual=shape, weights=weights)
    result, plugins = fused(model)
    assert plugins == [AddRMSNorm(axis=axis % 3 - 3)]
    assert_same(model, result, tmp_path, rtol=1e-6)


def test_several_spelled_out_axes(tmp_path):
    body = but(LLAMA, (MEAN, "ReduceMean<axes = [2, -2]>(square)"))
    shape = "[2, 3, 8]"
    model = model_of(body, x=shape, residual=shape, weights="[3, 8]", opset=17)
    result, plugins = fused(model)
    assert plugins == [AddRMSNorm(epsilon=EPSILON, axis=-2)]
    assert_same(model, result, tmp_path)


HALVES = "it computes in float16; the plugin does in float32"
AXES = "the axes of the mean are not known to be the last ones"


def terms(residual):
    return f"the terms of the sum, {residual} and ['b', 'n', 8], are not known to have one shape"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (model_of(WHOLE, residual="[8]"), terms([8])),
        (model_of(WHOLE, residual="[b, k, 8]"), terms(["b", "k", 8])),
        (model_of(WHOLE, residual="[b, 1, 8]"), terms(["b", 1, 8])),
        (model_of(WHOLE, weights="[1]"), "the weight is [1]; expected the shape of what is"),
        (model_of(LLAMA, weights="[b, n, 8]"), "the weight is ['b', 'n', 8]; expected"),
        (model_of(but(WHOLE, ("<", "<stash_type = 10, "))), HALVES),
        (model_of(but(BARE, ("Pow(sum, two)", "Mul(sum, sum)")), stored=np.float16), HALVES),
        (
            model_of(WHOLE, weight="float", result="float"),
            "the sum is float16 and the result float32",
        ),
        (
            model_of(LLAMA, "float", weight="float16", result="float16"),
            "the sum is float32 and the result float16",
        ),
        (
            model_of(
                SUM + "half = RMSNormalization(sum, weight)\ny = Cast<to = 1>(half)",
                "float",
                weight="float16",
            ),
            "the sum is float32 and the weight float16",
        ),
        (model_of(but(LLAMA, (MEAN, "ReduceMean<axes = [1]>(square)")), opset=17), AXES),
        (model_of(but(LLAMA, (MEAN, "ReduceMean(square)"))), AXES),
        (model_of(LLAMA, eps=-1.0), "epsilon is not one number of 0 or more"),
        (
            model_of(but(LLAMA, ("y =", "unread = Relu(mean)\ny ="))),
            "'mean', between the matched nodes, is read by other nodes too",
        ),
    ],
)
def test_what_is_left_and_why(model, reason):
    result = rewritten(model)
    assert result.applied == []
    assert result.model == model
    assert any(refused.reason.startswith(reason) for refused in result.refused), result.refused


def test_a_norm_without_a_sum_is_left():
    model = onnx.load(EXPORTED["llama_dynamo23"])
    (first, *_) = model.graph.node
    assert first.op_type == "RMSNormalization"
    assert rewritten(model).model.graph.node[0] == first


def test_the_sum_may_be_read_between_the_nodes(tmp_path):
    body = but(LLAMA, ("mean =", "early = Neg(sum)\nmean =")) + "late = Add(early, y)\n"
    model = model_of(body)
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[-1].name = "late"
    result, plugins = fused(model)
    assert len(plugins) == 1
    assert [node.op_type for node in result.model.graph.node] == ["AddRMSNorm_PK", "Neg", "Add"]
    assert_same(model, result, tmp_path)


def test_a_weight_that_comes_after_a_reader_of_the_sum_keeps_the_nodes():
    """The plugin would have to run before the Neg, which needs its sum, and after the weight."""
    body = SUM + "flat = ReduceMax<keepdims = 0>(sum, front)\ny = RMSNormalization(sum, flat)\n"
    model = model_of(body)
    front = numpy_helper.from_array(np.array([0, 1]), "front")
    model.graph.initializer.append(front)
    result = rewritten(model)
    assert result.model == model
    (refused,) = result.refused
    assert (
        refused.reason == "an output of the new nodes is read before all their inputs are computed"
    )


@pytest.mark.trt
@pytest.mark.parametrize("name", ["llama_dynamo23", "gemma_ts"])
def test_a_real_build_takes_it_with_its_alias(name, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(onnx.load(EXPORTED[name]), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={"hidden": "1x1x16,2x3x16,4x8x16"},
        choice=RewriteChoice(also=NAMES),
    )
    assert [(one.name, one.interface) for one in built.manifest.plugins] == [
        ("AddRMSNorm_PK", "v3")
    ]
    assert sum(one.made == ("AddRMSNorm_PK",) for one in built.rewrite.applied) == 4
