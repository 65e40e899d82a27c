"""What a body stores under the name of an outer value is left out, as ONNX Runtime reads it."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from pluginkit.onnx.rewriting.rewrite_model import rewrite_model

X, W = np.array([3, 5], np.float32), np.array([1, 2], np.float32)


def choice(before="", inputs="", stored="", inside="r = Add(x, w)", after=""):
    return onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 18]>
        g (float[2] x, bool c{inputs}) => (float[2] y) <{stored}> {{ {before}
            y = If(c) <
                then_branch = a () => (float[2] r) <float[2] w = {{10, 20}}> {{ {inside} }},
                else_branch = b () => (float[2] s) {{ s = Neg(x) }}
            > {after} }}"""
    )


INNER = "r = If(c) <then_branch = d () => (float[2] q) <float[2] w = {3, 4}> { q = Add(x, w) }, \
    else_branch = e () => (float[2] p) { p = Neg(w) }>"


@pytest.mark.parametrize(
    ("model", "stored"),
    [
        (choice(stored="float[2] w = {1, 2}"), 0),
        (choice(inputs=", float[2] w"), 0),
        (choice(before="w = Neg(x)"), 0),
        (choice(after="w = Neg(x)"), 1),
        (choice(inside=INNER), 1),
    ],
    ids=["initializer", "input", "value", "later value", "of two bodies"],
)
def test_the_outer_value_is_read(model, stored):
    feeds = {each.name: W for each in model.graph.input[2:]} | {"x": X, "c": np.array(True)}
    (expected,) = ReferenceEvaluator(model).run(None, feeds)
    result = rewrite_model(model, []).model
    branch = next(each for each in result.graph.node if each.op_type == "If").attribute[0].g
    assert len(branch.initializer) == stored
    np.testing.assert_array_equal(ReferenceEvaluator(result).run(None, feeds)[0], expected)
