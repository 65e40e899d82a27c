import numpy as np
import onnx
import onnx.parser
import pytest

from pluginkit import BuildOptions, RewriteChoice
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

ASKED = RewriteChoice(only=["FuseSearchSorted"], also=["FuseSearchSorted"])
EDGES = [-1, -0.25, 0.5, 0.5, 1.5]
X = np.array([[-3, -1, -0.5, -0.25, 0], [0.5, 0.75, 1.5, 1.75, 99]], np.float32)
EXPANDED = """
    shape = Shape(x)
    long = Concat <axis = 0> (count, shape)
    e = Expand(edges, long)
"""
STORED = "int64[1] count = {5}, int64[1] first = {0}, int64[1] last = {-1}"


def model_of(body, y="int64[b, 5]", shape="5, 1, 1", edges=EDGES, more=""):
    numbers = ", ".join(map(str, edges))
    return onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 20]> g (float[b, 5] x) => ({y} y) '
        f"<{STORED}, float[{shape}] edges = {{{numbers}}} {more}> {{ {body} }}"
    )


def unrolled(comparison):
    """Return the steps that torch 2.13's dynamo exporter writes of a search in five elements."""
    lines = [
        "s0 = Shape(x) l0 = Expand(zero, s0) h0 = Expand(five, s0)",
    ]
    for step in range(3):
        lines.append(f"""
            o{step} = Less(l{step}, h{step})
            d{step} = Sub(h{step}, l{step})
            f{step} = Div(d{step}, two)
            n{step} = Add(l{step}, f{step})
            m{step} = Where(o{step}, n{step}, zero)
            u{step} = Unsqueeze(m{step}, last)
            e{step} = GatherND(edges, u{step})
            g{step} = {comparison}(e{step}, x)
            b{step} = Not(g{step})
            r{step} = And(b{step}, o{step})
            p{step} = Add(m{step}, one)
            l{step + 1} = Where(r{step}, p{step}, l{step})
        """)
        if step < 2:
            lines.append(f"k{step} = And(g{step}, o{step})")
            lines.append(f"h{step + 1} = Where(k{step}, m{step}, h{step})")
    return " ".join([*lines, "y = Identity(l3)"])


NUMBERS = ", int64 zero = {0}, int64 one = {1}, int64 two = {2}, int64 five = {5}"
FORMS = {
    "torchscript": model_of(
        EXPANDED + "g = Greater(x, e) c = Cast <to = 7> (g) y = ReduceSum <keepdims = 0> (c, first)"
    ),
    "torchscript, right": model_of(
        EXPANDED
        + "g = Less(x, e) n = Not(g) c = Cast <to = 7> (n) y = ReduceSum <keepdims = 0> (c, first)"
    ),
    "torchscript, int32": model_of(
        EXPANDED
        + "g = Greater(x, e) c = Cast <to = 6> (g) y = ReduceSum <keepdims = 0> (c, first)",
        y="int32[b, 5]",
    ),
    "by hand": model_of(
        "u = Unsqueeze(x, last) g = LessOrEqual(edges, u) c = Cast <to = 7> (g) "
        "y = ReduceSum <keepdims = 0> (c, last)",
        shape="5",
    ),
    "dynamo": model_of(unrolled("GreaterOrEqual"), shape="5", more=NUMBERS),
    "dynamo, right": model_of(unrolled("Greater"), shape="5", more=NUMBERS),
}


@pytest.mark.parametrize("form", FORMS)
def test_onnxruntime_agrees(form, tmp_path):
    model = FORMS[form]
    result = rewrite_model(model, choice=ASKED)
    kinds = [node.op_type for node in result.model.graph.node]
    assert set(kinds) <= {"Constant", "SearchSorted_PK", "Identity"}
    assert rewrite_model(result.model, choice=ASKED).applied == []
    got = run_model(result.model, {"x": X}, result.plugins, base_dir=tmp_path)["y"]
    expected = run_onnxruntime(model, {"x": X})["y"]
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == expected.dtype


SUM = "c = Cast <to = 7> (g) y = ReduceSum <keepdims = 0> (c, first)"
OTHERS = {
    "edges that are not sorted": model_of(
        EXPANDED + "g = Greater(x, e) " + SUM, edges=[-1, 0.5, -0.25, 1, 1.5]
    ),
    "elements that are not behind": model_of(EXPANDED + "g = Less(x, e) " + SUM),
    "other elements than are stored": model_of(EXPANDED + "d = Add(e, e) g = Greater(x, d) " + SUM),
    "another axis": model_of(
        EXPANDED + "g = Greater(x, e) c = Cast <to = 7> (g) y = ReduceSum <keepdims = 0> (c, last)",
        y="int64[5, b]",
    ),
    "a number far from all edges": model_of(
        unrolled("GreaterOrEqual").replace(
            "o2 = Less(l2, h2)", "w = Less(l2, h2) v = Less(x, far) o2 = And(w, v)"
        ),
        shape="5",
        more=NUMBERS + ", float far = {1000}",
    ),
    "x that is counted itself": model_of(
        unrolled("GreaterOrEqual").replace(
            "p2 = Add(m2, one)",
            "i = Cast <to = 7> (x) j = Div(i, many) q = Add(m2, j) p2 = Add(q, one)",
        ),
        shape="5",
        more=NUMBERS + ", int64 many = {1000}",
    ),
    "places that are changed": model_of(
        EXPANDED + "g = Greater(x, e) n = Cast <to = 7> (g) c = Add(n, n) "
        "y = ReduceSum <keepdims = 0> (c, first)"
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_searches_otherwise_is_left(case):
    result = rewrite_model(OTHERS[case], choice=ASKED)
    assert result.applied == []
    assert result.model == OTHERS[case]


def test_nan_gets_the_last_place_as_in_torch(tmp_path):
    result = rewrite_model(FORMS["torchscript"], choice=ASKED)
    x = np.full((1, 5), np.nan, np.float32)
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)["y"]
    assert got.tolist() == [[5] * 5]


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(FORMS["dynamo"], path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    built = build_engine(path, shapes={"x": "1x5,2x5,4x5"}, options=options, choice=ASKED)
    assert len(built.manifest.plugins) == 1
