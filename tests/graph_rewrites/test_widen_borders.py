"""Integers that no engine takes or gives are wider as inputs and outputs of the rewritten model."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.widen_borders import WidenBorders
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.compare_models import compare_models
from pluginkit.onnx.running.run_model import run_onnxruntime

WIDER = {"int16": "int32", "uint16": "int32", "uint32": "int64", "uint64": "int64"}
TEXT = """<ir_version: 9, opset_import: ["" : 18]>
    t ({0}[4] x, bool c) => ({0}[4] y, {0}[4] x, {0}[4] z) {{
    y = Identity(x)
    z = If(c) <then_branch = a () => ({0}[4] p) {{ p = Identity(x) }},
        else_branch = b () => ({0}[4] q) {{ q = Identity(y) }}> }}"""
#: The greatest sum leaves 16 bits, and is wrapped as the original wraps it.
SUM = """<ir_version: 9, opset_import: ["" : 18]>
    t (float[4] x) => (int16[4] y) {
    w = Cast<to = 6>(x) s = Cast<to = 5>(w) y = Identity(s) }"""


def border_types(model):
    values = [*model.graph.input, *model.graph.output]
    return [onnx.helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type).name for v in values]


@pytest.mark.parametrize("dtype", WIDER)
@pytest.mark.parametrize("condition", [False, True])
def test_values_at_the_borders_are_wider(dtype, condition):
    model = onnx.parser.parse_model(TEXT.format(dtype))
    result = rewrite_model(model, [WidenBorders, CarryIntegers])
    wide = WIDER[dtype]
    assert border_types(result.model) == [wide, "bool", wide, wide, wide]
    assert result.notes[0].startswith("an input or output is wider than in the original")
    limits = np.iinfo(dtype)
    x = np.array([limits.min, 0, 7, limits.max // 2], dtype)
    expected = run_onnxruntime(model, {"x": x, "c": np.array(condition)})
    got = run_onnxruntime(result.model, {"x": x.astype(wide), "c": np.array(condition)})
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array.astype(wide))
    casts = [n.attribute[0].i for n in result.model.graph.node if n.op_type == "Cast"]
    assert onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)) not in casts


def test_an_output_that_the_model_stores_is_wider():
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 18]> g (float[2] x) => (float[2] y, int16[2] kept)
        <int16[2] kept = {1, -2}> { y = Neg(x) }"""
    )
    result = rewrite_model(model, [WidenBorders, CarryIntegers])
    onnx.checker.check_model(result.model, full_check=True)
    got = run_onnxruntime(result.model, {"x": np.zeros(2, np.float32)})
    np.testing.assert_array_equal(got["kept"], np.int32([1, -2]))


def test_sums_wrap_as_before_and_are_compared(tmp_path):
    model = onnx.parser.parse_model(SUM)
    result = rewrite_model(model, [WidenBorders, CarryIntegers])
    onnx.save(model, tmp_path / "a.onnx")
    onnx.save(result.model, tmp_path / "b.onnx")
    inputs = {"x": np.float32([1, -5, 40000, -70000])}
    assert compare_models(tmp_path / "a.onnx", tmp_path / "b.onnx", inputs=inputs).ok
    other = onnx.parser.parse_model(
        SUM.replace("int16[4] y", "int32[4] y").replace("s = Cast<to = 5>(w)", "s = Identity(w)")
    )
    onnx.save(other, tmp_path / "b.onnx")
    assert not compare_models(tmp_path / "a.onnx", tmp_path / "b.onnx", inputs=inputs).ok


def test_wider_inputs_are_compared(tmp_path):
    text = """<ir_version: 9, opset_import: ["" : 18]>
        t (uint16[4] x) => (float[4] y) { y = Cast<to = 1>(x) }"""
    model = onnx.parser.parse_model(text)
    onnx.save(model, tmp_path / "a.onnx")
    onnx.save(rewrite_model(model, [WidenBorders]).model, tmp_path / "b.onnx")
    assert compare_models(tmp_path / "a.onnx", tmp_path / "b.onnx", runs=2).ok


def test_other_types_are_left_and_twice_changes_nothing():
    plain = onnx.parser.parse_model(TEXT.format("int32"))
    assert rewrite_model(plain, [WidenBorders]).applied == []
    once = rewrite_model(onnx.parser.parse_model(TEXT.format("int16")), [WidenBorders]).model
    assert rewrite_model(once, [WidenBorders]).applied == []
