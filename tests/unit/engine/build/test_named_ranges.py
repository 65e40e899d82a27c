"""Ranges of --shapes become those of named dimensions."""

import onnx

from pluginkit.engine.build.named_ranges import given_extents


def sizes_of(value):
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_a_dimension_without_a_name_gets_one():
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18]>
        g (float[N, ?, 3, ?] x, float[?] z, float[?, x_1] w) => (float[N, ?, 3, ?] y)
        { y = Relu(x) }"""
    )
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = -1  # as some exporters write it
    extents = given_extents(model, {"x": "1x2x3x4,1x5x3x4,9x6x3x4", "w": "?x7"})
    x, z, w = model.graph.input
    assert sizes_of(x) == ["N", "x_1_", 3, "x_3"]
    assert sizes_of(z) == [0]
    assert sizes_of(w) == ["w_0", "x_1"]
    assert extents == {"N": (1, 9), "x_1_": (2, 6), "x_3": (4, 4), "x_1": (7, 7)}
