"""Plugins with a workspace, and data-dependent ones, in branches and loops, and loops are built."""

import onnx
import pytest

from pluginkit.engine.build.build_engine import build_engine
from pluginkit.engine.build.build_options import BuildOptions

pytestmark = [pytest.mark.trt, pytest.mark.slow, pytest.mark.usefixtures("rtx")]
HEAD = '<ir_version: 9, opset_import: ["" : 18]>'
SCATTER = "float[n,64] d, int64[m,64] i, float[m,64] u"


def branch(inputs: str, output: str, node: str, other: str, stored: str = "") -> str:
    return (
        f"g ({inputs}, bool f) => ({output} y) {stored} {{ y = If(f) <then_branch = t () => "
        f"({output} a) {{ {node} }}, else_branch = e () => ({output} b) {{ {other} }}> }}"
    )


TEXTS = {
    "ScatterElements, in a branch": branch(
        SCATTER, "float[n,64]", 'a = ScatterElements<reduction="add">(d,i,u)', "b = Neg(d)"
    ),
    "ScatterElements of integers, static": branch(
        "int64[5,64] d, int64[3,64] i, int64[3,64] u",
        "int64[5,64]",
        'a = ScatterElements<reduction="mul">(d,i,u)',
        "b = Neg(d)",
    ),
    "ScatterElements, in a loop": f"g ({SCATTER}) => (float[n,64] y) <int64 c={{3}}, bool t={{1}}>"
    " { y = Loop(c,t,d) <body = b (int64 k, bool go, float[n,64] s) => (bool on, float[n,64] w) {"
    ' on = Identity(go) w = ScatterElements<reduction="add">(s,i,u) }> }',
    "ScatterElements, in a scan": "g (float[8,64] d, int64[4,8,64] i, float[4,8,64] u) =>"
    " (float[8,64] y) { y = Scan(d,i,u) <num_scan_inputs=2, body = b (float[8,64] s, "
    "int64[8,64] j, float[8,64] v) => (float[8,64] w)"
    ' { w = ScatterElements<reduction="add">(s,j,v) }> }',
    "a value twice": "g (float[5] d, bool f) => (float[5] y, float[5] z) { y, z = If(f) "
    "<then_branch = t () => (float[5] a, float[5] a) { a = Relu(d) }, "
    "else_branch = e () => (float[5] b, float[5] c) { b = Neg(d) c = Abs(d) }> }",
    "a loop without a limit that reads its number": "g (float[3] d) => (float[3] y) <bool t={1}>"
    " { y = Loop(,t,d) <body = b (int64 k, bool go, float[3] s) => (bool on, float[3] w) {"
    " f = Cast<to=1>(k) w = Add(s,f) m = ReduceMax<keepdims=0>(w)"
    " h = Constant<value = float {9.0}>() on = Less(m,h) }> }",
    "ScatterND": branch(
        "float[n,64] d, int64[m,1] i, float[m,64] u",
        "float[n,64]",
        'a = ScatterND<reduction="add">(d,i,u)',
        "b = Neg(d)",
    ),
    "TopK": branch(
        "float[n,9000] d",
        "float[n,5000]",
        "a, z = TopK(d,k)",
        "b = Slice(d,s,k,x)",
        "<int64[1] k={5000}, int64[1] s={0}, int64[1] x={1}>",
    ),
    "NonZero of what the graph has": branch(
        "float[n] d", "int64[1,p]", "a = NonZero(d)", "w = Neg(d) b = NonZero(w)"
    ),
    "the same NonZero in both branches": branch(
        "float[n] d",
        "float[p]",
        "q = NonZero(d) r = Transpose(q) a = GatherND(d,r)",
        "q = NonZero(d) r = Transpose(q) s = GatherND(d,r) b = Neg(s)",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_tensorrt_builds_it(name, tmp_path):
    onnx.save(onnx.parser.parse_model(f"{HEAD} {TEXTS[name]}"), tmp_path / "m.onnx")
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])
    assert build_engine(tmp_path / "m.onnx", options=options).plan_path.stat().st_size
