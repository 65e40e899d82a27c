import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.expand_bool_reduction import ExpandBoolReduction
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import outputs_of
from tests.graph_rewrites.samples import i64, node_model


@pytest.mark.parametrize(("op_type", "python"), [("ReduceMax", any), ("ReduceMin", all)])
def test_bools_are_reduced_to_bools(op_type, python):
    x = np.array([[True, False], [True, True], [False, False]])
    model = node_model(op_type, {"x": x, "axes": i64(1)}, stored=["axes"], keepdims=0)
    (got,) = outputs_of(ExpandBoolReduction, model, {"x": x})
    assert got.tolist() == [python(row) for row in x.tolist()]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_nodes_of_other_types_are_not_even_looked_at(dtype):
    model = node_model("ReduceMax", {"a": np.ones((3, 2), dtype)}, keepdims=0)
    result = rewrite_model(model, [ExpandBoolReduction])
    assert result.model == model
    assert result.refused == []


def test_bools_as_axes_are_refused_at_once():
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 18]> g (float[2] x, bool[1] axes) => (float[] y)'
        " { y = ReduceMax <keepdims = 0> (x, axes) }"
    )
    (left,) = rewrite_model(model, [ExpandBoolReduction]).refused
    assert left.reason == "'x' is float32; expected bool"
