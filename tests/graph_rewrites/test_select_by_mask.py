import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.select_by_mask import SelectByMask
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node, value = helper.make_node, helper.make_tensor_value_info

MASK = (node("Less", ["x", "limit"], ["mask"]),)
PLACES = (node("NonZero", ["mask"], ["found"]), node("Transpose", ["found"], ["places"]))
#: How often the mask holds, as torch's exporter computes it.
COUNT = (
    node("Reshape", ["mask", "flat"], ["flags"]),
    node("Cast", ["flags"], ["ones"], to=INT64),
    node("ReduceSum", ["ones"], ["count"]),
)
WRITE = node("ScatterND", ["x", "places", "new"], ["y"], name="write")

NUMBER = (*MASK, *PLACES, *COUNT, node("Expand", ["limit", "count"], ["new"]), WRITE)
OTHERS = (
    *MASK,
    *PLACES,
    node("Sigmoid", ["x"], ["s"]),
    node("GatherND", ["s", "places"], ["new"]),
    WRITE,
)
ROWS = (
    node("ReduceMin", ["x", "flat"], ["least"], keepdims=0),
    node("Less", ["least", "limit"], ["small"]),
    node("Unsqueeze", ["small", "flat"], ["column"]),
    node("Shape", ["x"], ["size"]),
    node("Expand", ["column", "size"], ["mask"]),
    *PLACES,
    node("Shape", ["found"], ["sizes"]),
    node("Slice", ["sizes", "one", "two"], ["elements"]),
    node("Div", ["elements", "four"], ["count"]),
    node("Concat", ["count", "four"], ["both"], axis=0),
    node("Expand", ["row", "both"], ["rows"]),
    node("Reshape", ["rows", "flat"], ["new"]),
    WRITE,
)

#: Rows that differ, made of those at the mask's places.
CHANGED_ROWS = (
    *ROWS[:5],
    node("NonZero", ["small"], ["chosen"]),
    node("Transpose", ["chosen"], ["chosen_places"]),
    node("GatherND", ["x", "chosen_places"], ["gathered"]),
    node("CumSum", ["gathered", "last"], ["changed"]),
    *PLACES,
    node("Reshape", ["changed", "flat"], ["new"]),
    WRITE,
)

#: The same, of which torch expands the rows to a shape that inference does not follow.
EXPANDED_ROWS = (
    *CHANGED_ROWS[:9],
    *PLACES,
    node("Reshape", ["small", "flat"], ["flags"]),
    node("Cast", ["flags"], ["ones"], to=INT64),
    node("ReduceSum", ["ones"], ["count"]),
    node("Slice", ["size", "one", "two", "zero"], ["width"]),
    node("Concat", ["count", "width"], ["both"], axis=0),
    node("Expand", ["changed", "both"], ["rows"]),
    node("Reshape", ["rows", "flat"], ["new"]),
    WRITE,
)

#: The same for a mask of one axis of three, to which torch adds the others one by one.
DEEP_ROWS = (
    node("ReduceMin", ["x", "inner"], ["least"], keepdims=0),
    ROWS[1],
    node("Unsqueeze", ["small", "flat"], ["first"]),
    node("Unsqueeze", ["first", "flat"], ["column"]),
    *EXPANDED_ROWS[3:12],
    *EXPANDED_ROWS[12:14],
    node("Slice", ["size", "one", "four", "zero"], ["width"]),
    *EXPANDED_ROWS[15:],
)


def model_of(nodes, shape=("n", 4)):
    stored = {
        "limit": np.float32(0.3),
        "row": np.arange(4, dtype=np.float32),
        "flat": np.array([-1]),
        "one": np.array([1]),
        "two": np.array([2]),
        "zero": np.array([0]),
        "four": np.array([4]),
        "last": np.array(1),
        "inner": np.array([1, 2]),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", FLOAT, shape)],
        [value("y", FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("nodes", [NUMBER, OTHERS, ROWS], ids=["number", "others", "rows"])
@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_an_assignment_becomes_a_selection(nodes, share, tmp_path):
    model = model_of(nodes)
    result = rewrite_model(model, [SelectByMask])
    (applied,) = result.applied
    assert applied.made == ("Where",)
    names = [each.op_type for each in result.model.graph.node]
    assert not {"ScatterND", "NonZero", "ReduceSum"} & set(names)
    x = (np.random.default_rng(1).random((9, 4)) + 0.3 - share).astype(np.float32)
    expected = run_onnxruntime(model, {"x": x})["y"]
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)["y"]
    np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, [SelectByMask]).applied == []


@pytest.mark.parametrize(
    "nodes",
    [
        (*NUMBER[:-1], node("ScatterND", ["x", "places", "new"], ["y"], reduction="add")),
        # a row is not repeated where the mask differs along its axis
        (*ROWS[:4], node("Less", ["x", "limit"], ["mask"]), *ROWS[5:]),
        # values that are not those of the same places
        (*OTHERS[:-2], node("GatherND", ["s", "other"], ["new"]), WRITE),
    ],
    ids=["reduction", "mask of elements", "other places"],
)
def test_other_assignments_stay(nodes):
    if any("other" in each.input for each in nodes):
        nodes = (node("NonZero", ["x"], ["all"]), node("Transpose", ["all"], ["other"]), *nodes)
    model = model_of(nodes)
    result = rewrite_model(model, [SelectByMask])
    assert result.applied == []
    assert result.model == model


@pytest.mark.parametrize("share", [0, 0.3, 1])
@pytest.mark.parametrize(
    ("nodes", "shape"),
    [(CHANGED_ROWS, ("n", 4)), (EXPANDED_ROWS, ("n", "m")), (DEEP_ROWS, ("n", "m", 4))],
    ids=["known sizes", "expanded", "of matrices"],
)
def test_changed_rows_are_written_as_rows(nodes, shape, share, tmp_path):
    model = model_of(nodes, shape)
    result = rewrite_model(model, [SelectByMask])
    (applied,) = result.applied
    assert applied.made == ("NonZero", "Transpose", "ScatterND")
    assert "column" not in {name for each in result.model.graph.node for name in each.output}
    sizes = {"n": 9, "m": 4 if len(shape) == 2 else 1}
    drawn = np.random.default_rng(1).random([sizes.get(each, each) for each in shape])
    x = (drawn + 0.3 - share).astype(np.float32)
    expected = run_onnxruntime(model, {"x": x})["y"]
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)["y"]
    np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, [SelectByMask]).applied == []


@pytest.mark.parametrize("rows", [5, 1])
def test_a_matrix_that_is_written_in_the_place_of_others_is_selected(rows, tmp_path):
    nodes = [each for each in DEEP_ROWS if "changed" not in each.output]
    read = next(each for each in nodes if "changed" in each.input)
    at = nodes.index(read)
    nodes[at] = node("Expand", ["given", *read.input[1:]], read.output)
    model = model_of(nodes, ("n", "m", 4))
    model.graph.input.append(value("given", FLOAT, ["k", 4]))
    result = rewrite_model(model, [SelectByMask])
    assert [each.made for each in result.applied] == [("Where",)]
    random = np.random.default_rng(1)
    drawn = {"x": random.random((9, 5, 4)), "given": random.random((rows, 4))}
    feeds = {name: array.astype(np.float32) for name, array in drawn.items()}
    feeds["x"][::2] += 0.4
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)["y"]
    np.testing.assert_array_equal(got, run_onnxruntime(model, feeds)["y"])


@pytest.mark.parametrize(
    ("at", "other"),
    [
        (14, node("Slice", ["size", "zero", "two", "zero"], ["width"])),
        (15, node("Concat", ["count", "four"], ["both"], axis=0)),
    ],
    ids=["more axes", "a stored size"],
)
def test_rows_of_other_sizes_stay(at, other):
    nodes = list(EXPANDED_ROWS)
    assert nodes[at].op_type == other.op_type
    nodes[at] = other
    assert rewrite_model(model_of(nodes, ("n", "m")), [SelectByMask]).applied == []


def test_rows_of_a_mask_of_one_row_stay():
    # its one element stands for all rows, so that its places are not those of the rows
    least_of_all = node("ReduceMin", ["lowest"], ["least"], keepdims=1)
    lowest = node("ReduceMin", ["x", "flat"], ["lowest"], keepdims=0)
    model = model_of((lowest, least_of_all, *CHANGED_ROWS[1:]))
    assert rewrite_model(model, [SelectByMask]).applied == []


def test_a_mask_that_may_be_smaller_stays():
    model = model_of((*PLACES, *COUNT, node("Expand", ["limit", "count"], ["new"]), WRITE))
    model.graph.input.append(value("mask", TensorProto.BOOL, ["m", 4]))
    assert rewrite_model(model, [SelectByMask]).applied == []


def test_what_others_read_stays():
    model = model_of(NUMBER)
    model.graph.output.append(value("places", INT64, ["k", 2]))
    result = rewrite_model(model, [SelectByMask])
    assert len(result.applied) == 1
    assert [each.op_type for each in result.model.graph.node][:3] == [
        *("Less", "NonZero", "Transpose")
    ]


@pytest.mark.trt
@pytest.mark.parametrize("nodes", [NUMBER, ROWS], ids=["number", "rows"])
def test_a_real_build_takes_it(nodes, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(nodes), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={"x": "1x4,9x4,100x4"},
        rewrites=find_rewrites(),
    )
    assert not built.manifest.plugins
