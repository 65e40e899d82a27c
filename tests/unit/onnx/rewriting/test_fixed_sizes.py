"""Ranges of --shapes become those of named dimensions, and one size is fixed."""

import onnx
import pytest

from pluginkit.errors import UsageError
from pluginkit.graph_rewrites.fold_known import FoldKnown
from pluginkit.graph_rewrites.take_known_branch import TakeKnownBranch
from pluginkit.onnx.inference.value_types import dims_of
from pluginkit.onnx.rewriting.fixed_sizes import given_extents
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model

MODEL = onnx.parser.parse_model("""
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[N, 3, H] x, float[N, M] w) => (float[N, 3, H] y, float[N, M] z, int64[1] h)
    <float[N, 3, H] t> {
        t = Relu (x)
        y = Relu (t)
        z = Relu (w)
        h = Shape <start = 2, end = 3> (t)
    }
""")


def sizes(values):
    return [[dim.dim_value or dim.dim_param for dim in dims_of(each.type)] for each in values]


@pytest.mark.parametrize("in_place", [False, True])
def test_one_size_is_that_of_inputs_outputs_and_what_lies_between(in_place):
    given = onnx.ModelProto.FromString(MODEL.SerializeToString())
    shapes = {"x": "?x3x8", "w": "?x1,?x2,?x4"}
    graph = rewrite_model(given, [], shapes=shapes, in_place=in_place).model.graph
    assert sizes(graph.input) == [["N", 3, 8], ["N", "M"]]
    assert sizes(graph.output) == [["N", 3, 8], ["N", "M"], [1]]
    assert sizes(graph.value_info) == [["N", 3, 8]]
    assert in_place or given == MODEL


def test_rewrites_know_the_size():
    result = rewrite_model(MODEL, [FoldKnown], shapes={"x": "?x3x8"})
    assert [node.op_type for node in result.model.graph.node][-1] != "Shape"
    assert rewrite_model(MODEL, [FoldKnown], shapes={"x": "?x3x8,?x3x8,?x3x9"}).applied == []


def test_a_dimension_without_a_name_gets_one():
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18]>
        g (float[N, ?, 3, ?] x, float[?] z, float[?, x_1] w) => (float[N, ?, 3, ?] y)
        { y = Relu(x) }"""
    )
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = -1  # as some exporters write it
    extents = given_extents(model, {"x": "1x2x3x4,1x5x3x4,9x6x3x4", "w": "?x7"})
    x, z, w = model.graph.input
    assert sizes([x, z, w]) == [["N", "x_1_", 3, "x_3"], [""], ["w_0", "x_1"]]
    assert extents == {"N": (1, 9), "x_1_": (2, 6), "x_3": (4, 4), "x_1": (7, 7)}


def test_shapes_are_checked_as_those_of_a_build():
    with pytest.raises(UsageError, match=r"PK501.*'z'; it has x\[N, 3, H\], w\[N, M\]"):
        rewrite_model(MODEL, [], shapes={"z": "1"})
    with pytest.raises(
        UsageError, match=r"PK504.*'N' is \(1, 1, 1\) in 'x' and \(2, 2, 2\) in 'w'"
    ):
        rewrite_model(MODEL, [], shapes={"x": "1x3x8", "w": "2x8"})


def test_a_size_that_one_profile_leaves_open_is_not_known():
    assert given_extents(MODEL, {"x": "2x3x?/4x3x8"}) == {"N": (2, 4)}


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "uint32"])
def test_values_of_a_shape_tensor_are_no_sizes(dtype):
    model = onnx.parser.parse_model(f"""<ir_version: 10, opset_import: ["" : 21]>
        g ({dtype}[2] size, int64[N] ids) => (int64[N] y) {{ y = Identity(ids) }}""")
    assert given_extents(model, {"size": "1x1,8x9,8x20", "ids": "7"}) == {"N": (7, 7)}
    with pytest.raises(UsageError, match="PK502.*'size' have 3 values; expected 2"):
        given_extents(model, {"size": "1x1x1"})


def test_a_branch_that_does_not_fit_a_size():
    """What fixes the size is to blame, not a rewrite that finds it out."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18]>
        g (float[2, N] x, bool c) => (float y) <int64[1] one = {1}, int64[2] new = {2, 3}> {
            y = If (c) <
                then_branch = t () => (float u) { u = ReduceSum<keepdims = 0>(x) },
                else_branch = e () => (float v) {
                    n = Shape<start = 1>(x) single = Equal(n, one)
                    s = If (single) <
                        then_branch = f () => (k) { k = Unsqueeze(x, new) },
                        else_branch = h () => (l) { l = Identity(x) }
                    >
                    d = DepthToSpace<blocksize = 1>(s)
                    v = ReduceSum<keepdims = 0>(d)
                }
            >
        }"""
    )
    rewrites = [FoldKnown, TakeKnownBranch]
    with pytest.raises(UsageError, match="PK506 .* fixes, N=5; expected") as caught:
        rewrite_model(model, rewrites, shapes={"x": "2x5"})
    assert "DepthToSpace" in caught.value.cause
    assert rewrite_model(model, rewrites, shapes={"x": "2x1"}).applied
    assert rewrite_model(model, rewrites).applied == []
