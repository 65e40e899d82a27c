"""ReduceSegments on what torch's exporters write for layers of PyTorch Geometric."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from pluginkit import BuildOptions, RewriteChoice
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.reduce_segments import ReduceSegments
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from pluginkit.plugins.segment_reduce import SegmentReduce

MODELS = Path(__file__).parents[2] / "examples" / "models"
EDGES = """
  at = Gather<axis = 0>(edges, one)
  from = Gather<axis = 0>(edges, zero)
  column = Reshape(at, to_column)
  n = Shape<start = 0, end = 1>(x)
  e = Shape<start = 1, end = 2>(edges)
  wide = Concat<axis = 0>(e, sixteen)
  index = Expand(column, wide)
  size = Concat<axis = 0>(n, sixteen)
  zeros = ConstantOfShape(size)
"""
GIN = """
  messages = Gather<axis = -2>(x, from)
  y = ScatterElements<axis = 0, reduction = "add">(zeros, index, messages)
"""
INDEX_ADD = """
  messages = Gather<axis = 0>(x, from)
  tuples = Unsqueeze(at, last)
  y = ScatterND<reduction = "add">(zeros, tuples, messages)
"""
GCN = """
  w = Unsqueeze(weight, last)
  gathered = Gather<axis = 0>(x, from)
  messages = Mul(w, gathered)
  y = ScatterElements<axis = 0, reduction = "add">(zeros, index, messages)
"""
GAT = """
  heads = Reshape(x, by_head)
  gathered = Gather<axis = 0>(heads, from)
  alphas = Concat<axis = 1>(alpha, alpha)
  alpha_column = Unsqueeze(alphas, last)
  messages = Mul(gathered, alpha_column)
  index_column = Reshape(at, to_columns)
  sizes = Concat<axis = 0>(e, two_eights)
  all_index = Expand(index_column, sizes)
  shape = Concat<axis = 0>(n, two_eights)
  none = ConstantOfShape(shape)
  total = ScatterElements<axis = 0, reduction = "add">(none, all_index, messages)
  y = Reshape(total, by_node)
"""
MAX = """
  messages = Gather<axis = 0>(x, from)
  lowest = ConstantOfShape<value = float[1] {-3.4028235e38}>(wide)
  start = ScatterElements<axis = 0, reduction = "min">(zeros, index, lowest)
  y = ScatterElements<axis = 0, reduction = "max">(start, index, messages)
"""
MEAN = """
  messages = Gather<axis = 0>(x, from)
  total = ScatterElements<axis = 0, reduction = "add">(zeros, index, messages)
  nothing = ConstantOfShape(n)
  ones = Expand(unit, e)
  counts = ScatterElements<axis = 0, reduction = "add">(nothing, at, ones)
  clamped = Max(counts, unit)
  count_column = Reshape(clamped, to_column)
  divisor = Expand(count_column, size)
  y = Div(total, divisor)
"""
SLICED_MEAN = """
  messages = Gather<axis = 0>(x, from)
  whole = Shape(messages)
  as_wide = Expand(column, whole)
  bounds = Shape(as_wide)
  cut = Slice(messages, two_zeros, bounds)
  total = ScatterElements<axis = 0, reduction = "add">(zeros, as_wide, cut)
  nothing = ConstantOfShape(n)
  ones = ConstantOfShape<value = float[1] {1}>(e)
  count_bounds = Shape(at)
  cut_ones = Slice(ones, one_zero, count_bounds)
  counts = ScatterElements<axis = 0, reduction = "add">(nothing, at, cut_ones)
  clamped = Clip(counts, unit, )
  count_column = Reshape(clamped, to_column)
  shape = Shape(total)
  divisor = Expand(count_column, shape)
  y = Div(total, divisor)
"""
SOFTMAX = """
  alphas = Concat<axis = 1>(x_rows, x_rows)
  y = ScatterElements<axis = 0, reduction = "max">(zeros, index, alphas)
"""
MIN_WITH_ZERO = """
  messages = Gather<axis = 0>(x, from)
  y = ScatterElements<axis = 0, reduction = "min">(zeros, index, messages)
"""
ASKED_FOR = RewriteChoice(also=["ReduceSegments"])
STORED = {
    "zero": np.int64(0),
    "one": np.int64(1),
    "to_column": np.array([-1, 1]),
    "to_columns": np.array([-1, 1, 1]),
    "last": np.array([-1]),
    "sixteen": np.array([16]),
    "two_eights": np.array([2, 8]),
    "by_head": np.array([-1, 2, 8]),
    "by_node": np.array([-1, 16]),
    "two_zeros": np.array([0, 0]),
    "one_zero": np.array([0]),
    "unit": np.float32(1),
}


def model_of(body, edges=EDGES, **inputs):
    given = {"x": "float[n, 16]", "edges": "int64[2, e]", "weight": "float[e]"}
    given |= {"alpha": "float[e, 1]", "x_rows": "float[e, 8]"} | inputs
    declared = ", ".join(f"{kind} {name}" for name, kind in given.items())
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
    layer ({declared}) => (float[n, 16] y) {{ {edges} {body} }}"""
    model = onnx.parser.parse_model(text)
    for name, array in STORED.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    for node in reversed(list(model.graph.node)):
        is_read = any(node.output[0] in each.input for each in model.graph.node)
        if not is_read and node.output[0] != "y":
            model.graph.node.remove(node)
    read = {name for node in model.graph.node for name in node.input}
    for values in (model.graph.input, model.graph.initializer):
        for each in [one for one in values if one.name not in read]:
            values.remove(each)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def rewritten(model):
    return rewrite_model(model, [ReduceSegments], choice=ASKED_FOR)


def feeds_of(model, nodes=9, edges=40):
    rng = np.random.default_rng(3)
    sizes = {"n": nodes, "e": edges}
    feeds = {}
    for value in model.graph.input:
        shape = [dim.dim_value or sizes[dim.dim_param] for dim in value.type.tensor_type.shape.dim]
        feeds[value.name] = rng.normal(size=shape).astype(np.float32)
    # The last node has no edge.
    feeds["edges"] = np.stack([rng.integers(0, nodes, edges), rng.integers(0, nodes - 1, edges)])
    return feeds


LAYERS = {
    "GIN": (GIN, {"aggregate": "add"}, ["x", "destinations", "rows", "sources"]),
    "index_add": (INDEX_ADD, {"aggregate": "add"}, ["x", "destinations", "rows", "sources"]),
    "GCN": (GCN, {"aggregate": "add"}, ["x", "destinations", "rows", "sources", "weights"]),
    "GAT": (GAT, {"aggregate": "add"}, ["x", "destinations", "rows", "sources", "weights"]),
    "max": (
        MAX,
        {"aggregate": "max", "initial": -3.4028234663852886e38},
        ["x", "destinations", "rows", "sources"],
    ),
    "mean": (MEAN, {"aggregate": "mean"}, ["x", "destinations", "rows", "sources"]),
    "sliced mean": (SLICED_MEAN, {"aggregate": "mean"}, ["x", "destinations", "rows", "sources"]),
    "softmax": (
        SOFTMAX,
        {"aggregate": "max", "initial": 0.0},
        ["x", "destinations", "rows"],
    ),
    "min and zero": (
        MIN_WITH_ZERO,
        {"aggregate": "min", "initial": 0.0},
        ["x", "destinations", "rows", "sources"],
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_becomes_one_node(name, tmp_path):
    body, attributes, present = LAYERS[name]
    model = model_of(body)
    result = rewritten(model)
    assert len(result.applied) == 1, result.applied
    left = {node.op_type for node in result.model.graph.node}
    assert not left & {
        "ScatterElements",
        "ScatterND",
        "Expand",
        "ConstantOfShape",
        "Div",
        "Mul",
        "Slice",
    }
    plugins = {SegmentReduce.spec.key: SegmentReduce}
    ((_, _, plugin),) = plugin_nodes(result.model, plugins)
    assert plugin == SegmentReduce(**attributes).with_inputs(*present)
    feeds = feeds_of(model)
    got = run_model(result.model, feeds, plugins, base_dir=tmp_path)["y"]
    expected = run_onnxruntime(model, feeds)["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert np.any(expected)
    again = rewritten(result.model)
    assert again.applied == []
    assert again.model == result.model


@pytest.mark.parametrize(("name", "count"), [("sage_dyn", 3), ("sage_ts", 2)])
def test_what_pytorch_geometric_exports(name, count, tmp_path):
    """The other exporter puts the maximum into branches, which stay."""
    model = onnx.load(MODELS / f"{name}.onnx")
    result = rewritten(model)
    names = [node.op_type for node in result.model.graph.node]
    assert names.count("SegmentReduce_PK") == len(result.applied) == count
    feeds = feeds_of(model)
    plugins = {SegmentReduce.spec.key: SegmentReduce}
    feeds["edge_index"] = feeds.pop("edges")
    got = run_model(result.model, feeds, plugins, base_dir=tmp_path)
    expected = run_onnxruntime(model, feeds)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-4, atol=1e-5)


def but(body, *changes):
    for old, new in changes:
        assert old in body
        body = body.replace(old, new)
    return body


@pytest.mark.parametrize(
    ("body", "edges"),
    [
        (but(GIN, ("ScatterElements<axis = 0", "ScatterElements<axis = 1")), EDGES),
        (but(GIN, ('"add"', '"mul"')), EDGES),
        (but(GIN, ("(zeros", "(x")), EDGES),
        (GIN, but(EDGES, ("ConstantOfShape(size)", "ConstantOfShape<value = float[1] {1}>(size)"))),
        (GIN, but(EDGES, ("index = Expand(column, wide)", "other = Expand(column, wide)"))),
        (but(MAX, ("-3.4028235e38", "3.0")), EDGES),
    ],
    ids=["axis", "product", "other data", "ones", "index differs in a row", "a start above zero"],
)
def test_what_is_left(body, edges):
    inputs = {"index": "int64[e, 16]"} if "other = " in edges else {}
    model = model_of(body, edges, **inputs)
    result = rewritten(model)
    assert all(change.made != ("SegmentReduce_PK",) for change in result.applied)
    kept = [node for node in result.model.graph.node if node.op_type == "ScatterElements"]
    assert kept[-1].output[0] == "y"


@pytest.mark.parametrize(
    "change",
    [
        ("(nothing, at, ones)", "(nothing, from, ones)"),
        ("ones = Expand(unit, e)", "ones = ConstantOfShape<value = float[1] {2}>(e)"),
        ("Max(counts, unit)", "Min(counts, unit)"),
    ],
    ids=["of other nodes", "of twos", "up to one"],
)
def test_a_division_by_other_counts_stays(change):
    result = rewritten(model_of(but(MEAN, change)))
    names = [node.op_type for node in result.model.graph.node]
    assert names.count("SegmentReduce_PK") == names.count("Div") == 1


def test_a_sum_that_others_read_keeps_its_division():
    model = model_of(but(MEAN, ("y = Div(total", "half = Div(total")) + "y = Add(half, total)\n")
    result = rewritten(model)
    names = [node.op_type for node in result.model.graph.node]
    assert names.count("SegmentReduce_PK") == names.count("Div") == 1


def test_factors_of_elements_stay_a_product():
    body = but(GCN, ("w = Unsqueeze(weight, last)", ""), ("Mul(w,", "Mul(elements,"))
    model = model_of(body, elements="float[e, 16]")
    result = rewritten(model)
    names = [node.op_type for node in result.model.graph.node]
    assert names[-1] == "SegmentReduce_PK"
    assert "Mul" in names


def test_a_model_is_left_alone_unless_it_is_asked_for():
    model = model_of(MEAN)
    assert rewrite_model(model, [ReduceSegments]).model == model


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(MEAN), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={"x": "1x16,9x16,99x16", "edges": "2x1,2x40,2x9999"},
        choice=ASKED_FOR,
    )
    assert [record.name for record in built.manifest.plugins] == ["SegmentReduce_PK"]
