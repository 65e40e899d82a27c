"""A branch of an If that returns a value twice returns a copy of it."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.copy_repeated_output import CopyRepeatedOutput
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import outputs_of

X = np.array([-1, 0, 2], np.float32)


def branching(then: str = "t, float[3] t", other: str = "u, float[3] v") -> onnx.ModelProto:
    return onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["" : 18]>
        g (float[3] x, bool c) => (float[3] y, float[3] z) {{
            y, z = If(c) <then_branch = a () => (float[3] {then}) {{ t = Relu(x) }},
            else_branch = b () => (float[3] {other}) {{ u = Neg(x) v = Abs(x) }}>
        }}"""
    )


@pytest.mark.parametrize("branches", [(), ("t, float[3] t", "u, float[3] u")])
def test_each_output_has_a_value_of_its_own(branches):
    model = branching(*branches)
    for taken, expected in ((True, [np.maximum(X, 0)] * 2), (False, [-X, np.abs(X)])):
        if branches and not taken:
            expected = [-X, -X]
        got = outputs_of(CopyRepeatedOutput, model, {"x": X, "c": np.array(taken)})
        np.testing.assert_array_equal(got, expected)
    again = rewrite_model(rewrite_model(model, [CopyRepeatedOutput]).model, [CopyRepeatedOutput])
    assert again.applied == []


def test_other_branches_are_left():
    model = branching("t, float[3] t")
    del model.graph.node[0].attribute[0].g.output[1]
    del model.graph.node[0].attribute[1].g.output[1]
    del model.graph.node[0].output[1]
    del model.graph.output[1]
    assert rewrite_model(model, [CopyRepeatedOutput]).applied == []
