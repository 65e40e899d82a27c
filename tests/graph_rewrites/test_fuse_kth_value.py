import numpy as np
import onnx
import onnx.parser
import pytest

from pluginkit import BuildOptions, RewriteChoice
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from tests.graph_rewrites.samples import normal

ASKED = RewriteChoice(only=["SelectKthValue"], also=["FuseKthValue"])
UNASKED = RewriteChoice(only=["SelectKthValue"])


def model_of(body, x="float[n, 9]", y="float[n]", stored=""):
    return onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 20]> g ({x} x) => ({y} y) <{stored}> {{ {body} }}'
    )


#: As torch 2.13 exports torch.quantile(x, q, dim=1), without what follows from stored numbers.
QUANTILE = """
    sorted, order = TopK <axis = -1, largest = 0, sorted = 1> (x, size)
    nan = IsNaN(sorted)
    number = Cast <to = 7> (nan)
    most = ReduceMax <keepdims = 1> (number, last)
    any = Cast <to = 9> (most)
    rank = Where(any, end, at)
    whole = Cast <to = 7> (rank)
    low = GatherElements <axis = -1> (sorted, whole)
    begin = Cast <to = 1> (whole)
    part = Sub(rank, begin)
    up = Ceil(rank)
    next = Cast <to = 7> (up)
    high = GatherElements <axis = -1> (sorted, next)
    gap = Sub(high, low)
    more = Mul(part, gap)
    sum = Add(low, more)
    y = Squeeze(sum, last)
"""
STORED = (
    "int64[1] size = {9}, int64[1] last = {-1}, float[3, 1] at = {2.4, 2.4, 2.4}, float end = {8}"
)
#: A body, the shape of y, and what is stored.
FORMS = {
    "sort": (
        "s, i = TopK <largest = 0> (x, k) y = Gather <axis = 1> (s, at)",
        "float[n]",
        "int64[1] k = {9}, int64 at = {-3}",
    ),
    "several": (
        "s, i = TopK (x, k) y = Gather <axis = -1> (s, at)",
        "float[n, 2]",
        "int64[1] k = {5}, int64[2] at = {-1, 1}",
    ),
    "slice": (
        "s, i = TopK (x, k) y = Slice (s, begin, end, axis)",
        "float[n, 1]",
        "int64[1] k = {5}, int64[1] begin = {-1}, int64[1] end = {9223372036854775807}, "
        "int64[1] axis = {1}",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_onnxruntime_agrees_with_what_is_selected(form, tmp_path):
    body, y, stored = FORMS[form]
    model, feeds = model_of(body, y=y, stored=stored), {"x": normal(4, 9)}
    result = rewrite_model(model, choice=ASKED)
    assert "TopK" not in [node.op_type for node in result.model.graph.node]
    assert rewrite_model(result.model, choice=ASKED).applied == []
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)["y"]
    np.testing.assert_array_equal(got, run_onnxruntime(model, feeds)["y"])


@pytest.mark.parametrize("has_nan", [False, True])
def test_a_quantile_sorts_nothing_and_is_nan_where_a_row_has_one(has_nan, tmp_path):
    x = normal(3, 9)
    if has_nan:
        x[1, 4] = np.nan
    model = model_of(QUANTILE, x="float[3, 9]", y="float[3]", stored=STORED)
    result = rewrite_model(model, choice=ASKED)
    kinds = [node.op_type for node in result.model.graph.node]
    assert kinds.count("KthValue_PK") == 2
    assert "TopK" not in kinds
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)["y"]
    # Between two numbers around 1, each rounded to float32, the quantile can be near 0.
    np.testing.assert_allclose(got, np.quantile(x, 0.3, 1), rtol=1e-5, atol=2**-21)


SORT = "s, i = TopK <largest = 0> (x, k) y = Gather <axis = 1> (s, at)"
KEPT = {
    "the indices are read": (
        "s, i = TopK (x, k) g = Gather <axis = 1> (s, at) c = Cast <to = 1> (i) "
        "r = ReduceSum <keepdims = 0> (c, axis) y = Add(g, r)",
        "int64[1] k = {9}, int64 at = {1}, int64[1] axis = {1}",
    ),
    "the order is not asked for": (
        "s, i = TopK <sorted = 0> (x, k) y = Gather <axis = 1> (s, at)",
        "int64[1] k = {9}, int64 at = {1}",
    ),
    "another axis is gathered": (
        "s, i = TopK <axis = 1> (x, k) g = Gather <axis = 0> (s, at) y = Identity(g)",
        "int64[1] k = {9}, int64 at = {1}",
    ),
    "the whole is read too": (
        "s, i = TopK (x, k) g = Gather <axis = 1> (s, at) r = ReduceSum <keepdims = 0> (s, axis) "
        "y = Add(g, r)",
        "int64[1] k = {9}, int64 at = {1}, int64[1] axis = {1}",
    ),
    "the places of NaN are read": (
        "s, i = TopK (x, k) g = Gather <axis = 1> (s, at) n = IsNaN(s) c = Cast <to = 1> (n) "
        "p = Gather <axis = 1> (c, at) y = Add(g, p)",
        "int64[1] k = {9}, int64 at = {1}",
    ),
    "not all of a row is looked at for NaN": (
        "s, i = TopK (x, k) g = Gather <axis = 1> (s, at) n = IsNaN(s) c = Cast <to = 1> (n) "
        "m = ReduceMax <keepdims = 0> (c, axis) y = Add(g, m)",
        "int64[1] k = {5}, int64 at = {1}, int64[1] axis = {1}",
    ),
    "a position is beyond k": (SORT, "int64[1] k = {5}, int64 at = {5}"),
}


@pytest.mark.parametrize("case", KEPT)
def test_sorts_are_kept_where(case):
    body, stored = KEPT[case]
    model = model_of(body, stored=stored)
    result = rewrite_model(model, choice=ASKED)
    assert result.applied == []
    assert result.model == model


def test_only_what_tensorrt_cannot_sort_is_selected_without_being_asked_for():
    short, long = (
        model_of(SORT, x=f"float[n, {size}]", stored=f"int64[1] k = {{{size}}}, int64 at = {{7}}")
        for size in (3840, 3841)
    )
    assert rewrite_model(short, choice=UNASKED).applied == []
    (applied,) = rewrite_model(long, choice=UNASKED).applied
    assert applied.rewrite == "SelectKthValue"


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(QUANTILE, x="float[3, 9]", y="float[3]", stored=STORED), path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    built = build_engine(path, options=options, choice=RewriteChoice(also=["FuseKthValue"]))
    assert len(built.manifest.plugins) == 1
