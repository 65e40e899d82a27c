"""Plugins and carried integers inside local functions: right, final, and built."""

import numpy as np
import onnx
import pytest

from pluginkit.discovery import find_plugins
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.engine.build.build_options import BuildOptions
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.fuzz.node_by_node import run_in_onnxruntime

PLUGINS = find_plugins()
HEAD = '<ir_version: 10, opset_import: ["" : 18, "f" : 1]>'
F = '<opset_import: ["" : 18, "f" : 1], domain: "f">'
ARGUMENTS = "float[n,4] d, int64[m,4] i, float[m,4] u"
SCATTER = f'{F} Sc (d,i,u) => (y) {{ y = ScatterElements<axis=0,reduction="add">(d,i,u) }}'
BY_NAME = (
    f'{F} Ra <red: string = "min"> (d,i,u) => (y)'
    " { y = ScatterElements<axis=0,reduction:string=@red>(d,i,u) }"
)
CLIPPED = (
    f"{F} Op (d,i,u,lo,hi) => (y)"
    ' { s = ScatterElements<axis=0,reduction="add">(d,i,u) y = Clip(s, lo, hi) }'
)
FLAGS = (
    "then_branch = t () => (float[n,4] a) { a = THEN }, "
    "else_branch = e () => (float[n,4] b) { b = Neg(d) }"
)
LOOP = (
    "Loop(c,t,d) <body = b (int64 k, bool go, float[n,4] s) => (bool on, float[n,4] s2)"
    " { on = Identity(go) s2 = f.Sc(s,i,u) }>"
)
BRANCHES = FLAGS.replace("THEN", "f.Sc(d,i,u)")
UNTYPED = BRANCHES.replace("float[n,4] ", "")
OTHER = SCATTER.replace('"" : 18', '"" : 16')


def g(body: str, *functions: str, inputs: str = ARGUMENTS, output: str = "float[n,4] y") -> str:
    return f"{HEAD} g ({inputs}) => ({output}) {body} {' '.join(functions)}"


TEXTS = {
    "a call": g("{ y = f.Sc(d,i,u) }", SCATTER),
    "a call in a function": g(
        "{ y = f.Out(d,i,u) }",
        SCATTER,
        f"{F} Out (a,b,c) => (z) {{ q = f.Sc(a,b,c) z = Relu(q) }}",
    ),
    "in a branch": g(f"{{ y = If(c) <{BRANCHES}> }}", SCATTER, inputs=f"{ARGUMENTS}, bool c"),
    "a branch inside, outputs without types": g(
        "{ y = f.Cond(d,i,u,c) }",
        SCATTER,
        f"{F} Cond (d,i,u,c) => (y) {{ y = If(c) <{UNTYPED}> }}",
        inputs=f"{ARGUMENTS}, bool c",
    ),
    "in a loop": g(f"<int64 c={{2}}, bool t={{1}}> {{ y = {LOOP} }}", SCATTER),
    "called with two types": g(
        "{ y = f.Sc(d,i,u) z = f.Sc(e,i,v) }",
        SCATTER,
        inputs=f"{ARGUMENTS}, int32[n,4] e, int32[m,4] v",
        output="float[n,4] y, int32[n,4] z",
    ),
    "attributes by reference": g(
        '{ a = f.Ra<red="max">(d,i,u) b = f.Ra<red="add">(a,i,u) y = f.Ra(b,i,u) }', BY_NAME
    ),
    "optional inputs absent": g("{ y = f.Op(d,i,u) }", CLIPPED),
    "an optional input absent between others": g(
        '{ y = f.Op(d,i,u,"",h) }', CLIPPED, inputs=f"{ARGUMENTS}, float h"
    ),
    "another opset": g("{ y = f.Sc(d,i,u) }", OTHER),
    "uint8 through a function": g(
        "{ y = f.U(e) }",
        f"{F} U (e) => (y) {{ y = Max(e,e) }}",
        inputs="uint8[n,4] e",
        output="uint8[n,4] y",
    ),
    "uint8 inside a function": g(
        "{ y = f.U(d) }",
        f"{F} U (d) => (y) {{ q = Cast<to=2>(d) r = Max(q,q) y = Cast<to=1>(r) }}",
        inputs="float[n,4] d",
    ),
    "quantization, called twice": g(
        "{ a = f.Q(d,h,z) y = f.Q(a,h,z) }",
        f"{F} Q (d,s,z) => (y) {{ q = QuantizeLinear(d,s,z) y = DequantizeLinear(q,s,z) }}",
        inputs="float[n,4] d, float h, uint8 z",
    ),
    "data-dependent, in a branch": g(
        "{ y = If(c) <then_branch = t () => (int64[2,p] a) { a = f.Nz(d) }, "
        "else_branch = e () => (int64[2,q] b) { w = Neg(d) b = f.Nz(w) }> }",
        f"{F} Nz (d) => (y) {{ y = NonZero(d) }}",
        inputs="float[n,4] d, bool c",
        output="int64[2,k] y",
    ),
}
X = np.array([[1, 2, 3, 40]], np.float32)
VALUES = {
    **{"d": X, "u": X, "i": np.zeros((1, 4), np.int64), "c": np.array(True)},
    **{"e": X.astype(np.int32), "v": X.astype(np.int32), "h": np.array(0.5, np.float32)},
    "z": np.array(3, np.uint8),
}


def _feeds(model):
    given = {value.name: VALUES[value.name] for value in model.graph.input}
    if "e" in given and model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8:
        given["e"] = X.astype(np.uint8)
    return given


def _overloads():
    model = onnx.parser.parse_model(g("{ a = f.Sc(d,i,u) y = f.Sc(a,i,u) }", SCATTER))
    other = model.functions.add()
    other.CopyFrom(model.functions[0])
    model.functions[0].overload, other.overload = "add", "mul"
    model.graph.node[0].overload, model.graph.node[1].overload = "add", "mul"
    next(one for one in other.node[0].attribute if one.name == "reduction").s = b"mul"
    return model


MODELS = {name: onnx.parser.parse_model(text) for name, text in TEXTS.items()} | {
    "overloads": _overloads()
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_with_functions_is_right_and_final(name, tmp_path):
    model = MODELS[name]
    result = rewrite_model(model, plugins=PLUGINS)
    again = rewrite_model(result.model, plugins=PLUGINS)
    assert again.applied == []
    assert again.model == result.model
    got = run_model(result.model, _feeds(model), result.plugins, base_dir=tmp_path)
    for one, other in zip(run_in_onnxruntime(model, _feeds(model)), got.values(), strict=True):
        np.testing.assert_array_equal(other, one)


@pytest.mark.trt
@pytest.mark.slow
@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("name", MODELS)
def test_tensorrt_builds_it(name, tmp_path):
    onnx.save(MODELS[name], tmp_path / "m.onnx")
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])
    assert build_engine(tmp_path / "m.onnx", options=options).plan_path.stat().st_size


WITHOUT_VALUES = """
    y = Conv (x, w, "")
    z = f.Low (y, "")
    v = Gemm (m, m, "")
    q = Dropout (v, "", "")
    r, s = Split <num_outputs = 2> (q, "")
"""


def test_optional_inputs_without_a_value_are_built(rtx, tmp_path) -> None:
    model = onnx.parser.parse_model(
        f"{HEAD} g (float[1,1,4,4] x, float[1,1,2,2] w, float[4,4] m)"
        f" => (float[1,1,3,3] z, float[2,4] r, float[2,4] s) {{ {WITHOUT_VALUES} }}"
        f" {F} Low (a, low) => (b) {{ b = Clip (a, low) }}"
    )
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    options = BuildOptions(flavour=rtx.name, compute_capabilities=["8.9"])
    assert build_engine(path, options=options).plan_path.exists()
