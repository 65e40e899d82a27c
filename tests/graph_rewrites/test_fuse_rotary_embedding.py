from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from pluginkit import BuildOptions, RewriteChoice
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.fuse_rotary_embedding import (
    FuseMicrosoftRotaryEmbedding,
    FuseRotaryEmbedding,
)
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from tests.graph_rewrites.microsoft import microsoft_model
from tests.graph_rewrites.samples import i64, integers, normal

BOTH = [FuseRotaryEmbedding, FuseMicrosoftRotaryEmbedding]
CHOICE = RewriteChoice(also=[each.__name__ for each in BOTH])


def model_of(table="[1, 1, s, 8]", low="zero, half", high="half, end", axis=-1, elem_type="float"):
    """As transformers' rotate_half is exported."""
    return onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 18]>
        main ({elem_type}[n, 3, s, 8] x, {elem_type}{table} cos, {elem_type}{table} sin)
        => ({elem_type}[n, 3, s, 8] y)
        <int64[1] zero = {{0}}, int64[1] half = {{4}}, int64[1] end = {{9223372036854775807}},
         int64[1] axes = {{3}}, int64[1] ones = {{1}}>
        {{ straight = Mul(x, cos)
           low = Slice(x, {low}, axes, ones)
           high = Slice(x, {high}, axes, ones)
           minus = Neg(high)
           turned = Concat<axis = {axis}>(minus, low)
           across = Mul(turned, sin)
           y = Add(straight, across) }}""")


FOLDER = Path(__file__).parent / "models"
EXPORTED = ("llama_ts", "llama_dynamo", "phi3_dynamo")


@pytest.mark.parametrize("name", EXPORTED)
def test_what_pytorch_exports_of_transformers_becomes_plugins(name, tmp_path):
    model = onnx.load(FOLDER / f"gates_{name}.onnx")
    gates = RewriteChoice(also=["FuseRotaryEmbedding", "FuseSwiGLU", "FuseSplitSwiGLU"])
    result = rewrite_model(model, choice=gates)
    made = [node.op_type for node in result.model.graph.node]
    assert [made.count(each) for each in ("RotaryEmbedding_PK", "SwiGLU_PK", "Neg")] == [2, 1, 0]
    columns = 6 if name.startswith("phi3") else 8
    shapes = {"x": (2, 5, 8), "query": (2, 3, 5, 8), "key": (2, 1, 5, 8)}
    shapes |= dict.fromkeys(("cos", "sin"), (2, 5, columns))
    feeds = {key: normal(*shape).astype(np.float32) for key, shape in shapes.items()}
    expected = run_onnxruntime(model, feeds)
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    for key, array in expected.items():
        np.testing.assert_allclose(got[key], array, rtol=1e-5, atol=1e-6, err_msg=key)


def test_a_part_of_unknown_size_is_left():
    result = rewritten(onnx.load(FOLDER / "gates_phi3_ts.onnx"))
    assert result.applied == []
    assert all("expected heads of a known, even size" in each.reason for each in result.refused)


def rewritten(model):
    result = rewrite_model(model, BOTH, CHOICE)
    assert rewrite_model(result.model, BOTH, CHOICE).applied == []
    return result


def assert_same(model, feeds, tmp_path, tolerance=1e-6):
    result = rewritten(model)
    made = [node.op_type for node in result.model.graph.node]
    assert made.count("RotaryEmbedding_PK") == 1, result.refused
    (expected,) = run_onnxruntime(model, feeds).values()
    (got,) = run_model(result.model, feeds, result.plugins, base_dir=tmp_path).values()
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
    return made


@pytest.mark.parametrize("elem_type", ["float", "float16"])
@pytest.mark.parametrize(("table", "items"), [("[1, 1, s, 8]", 1), ("[n, 1, s, 8]", 2)])
def test_halves_that_are_exchanged_become_one_node(table, items, elem_type, tmp_path):
    model = model_of(table, elem_type=elem_type)
    shapes = {"x": (2, 3, 5, 8), "cos": (items, 1, 5, 8), "sin": (items, 1, 5, 8)}
    dtype = np.float32 if elem_type == "float" else np.float16
    feeds = {name: normal(*shape).astype(dtype) for name, shape in shapes.items()}
    made = assert_same(model, feeds, tmp_path, 1e-6 if elem_type == "float" else 4e-3)
    assert set(made) <= {"RotaryEmbedding_PK", "Squeeze", "Reshape", "Shape"}


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (model_of(low="half, end", high="zero, half"), "it does not exchange the halves"),
        (model_of(low="zero, ones"), "it does not exchange the halves"),
        (model_of(axis=2), "it does not exchange the halves"),
        (model_of("[1, 3, s, 8]"), "its tables are [1, 3, 's', 8]; expected (1 or N, 1, S, D)"),
        (model_of("[1, 1, 1, 8]"), "its tables are [1, 1, 1, 8]; expected"),
        (model_of("[1, 1, s, 1]"), "its tables are [1, 1, 's', 1]; expected"),
        (model_of("[s, 8]"), "the shapes of its tables are unknown"),
    ],
)
def test_what_is_left_and_why(model, reason):
    result = rewrite_model(model, BOTH, CHOICE)
    assert result.model == model
    assert [each.reason.startswith(reason) for each in result.refused] == [True], result.refused


@pytest.mark.parametrize("positions", [integers(2, 5, dtype=np.int64, high=9), i64(3)])
@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize(
    ("shape", "dims", "columns", "attributes"),
    [
        ((2, 5, 32), ("n", "s", 32), 4, {}),
        ((2, 4, 5, 8), ("n", 4, "s", 8), 2, {"num_heads": 4, "rotary_embedding_dim": 4}),
    ],
)
def test_the_operator_of_onnx_runtime(
    positions, interleaved, shape, dims, columns, attributes, tmp_path
):
    tables = {name: normal(20, columns).astype(np.float32) for name in ("cos", "sin")}
    feeds = {"x": normal(*shape).astype(np.float32), "at": positions, **tables}
    model = microsoft_model(
        "RotaryEmbedding",
        feeds,
        {"y": ("float32", len(shape))},
        dims={"x": dims},
        interleaved=interleaved,
        **attributes,
    )
    assert_same(model, feeds, tmp_path)


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(), path)
    tables = "1x1x1x8,1x1x5x8,1x1x9x8"
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={"x": "1x3x1x8,2x3x5x8,4x3x9x8", "cos": tables, "sin": tables},
        choice=CHOICE,
    )
    assert [record.name for record in built.manifest.plugins] == ["RotaryEmbedding_PK"]
