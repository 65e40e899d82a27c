"""Named dimensions that have one size get it."""

import onnx
import pytest

from pluginkit.graph_rewrites.fold_known import FoldKnown
from pluginkit.onnx.inference.value_types import dims_of
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
    extents = {"H": (8, 8), "M": (1, 4)}
    graph = rewrite_model(given, [], extents=extents, in_place=in_place).model.graph
    assert sizes(graph.input) == [["N", 3, 8], ["N", "M"]]
    assert sizes(graph.output) == [["N", 3, 8], ["N", "M"], [1]]
    assert sizes(graph.value_info) == [["N", 3, 8]]
    assert in_place or given == MODEL


def test_rewrites_know_the_size():
    result = rewrite_model(MODEL, [FoldKnown], extents={"H": (8, 8)})
    assert [node.op_type for node in result.model.graph.node][-1] != "Shape"
    assert rewrite_model(MODEL, [FoldKnown], extents={"H": (8, 9)}).applied == []
