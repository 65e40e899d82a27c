import numpy as np
import onnx
import pytest

from pluginkit import BuildOptions, RewriteChoice, find_rewrites
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_dft import ReplaceDft
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import node_model, normal


def dft_model(x, axis, length=None, **attributes):
    inputs = {"x": x, "n": None if length is None else np.array(length), "axis": np.array(axis)}
    stored = [name for name in ("n", "axis") if inputs[name] is not None]
    return node_model("DFT", inputs, stored=stored, opset=20, **attributes)


def parts_of(values):
    return np.stack([values.real, values.imag], -1)


@pytest.mark.parametrize(
    ("shape", "axis", "length", "attributes", "function"),
    [
        ((2, 200, 1), 1, None, {}, "fft"),
        ((2, 150, 2), 1, 131, {}, "fft"),
        ((200, 3, 2), 0, 256, {"inverse": 1}, "ifft"),
        ((2, 200, 1), -2, None, {"onesided": 1}, "rfft"),
    ],
    ids=str,
)
def test_the_rewritten_model_gives_what_numpy_does(
    shape, axis, length, attributes, function, tmp_path
):
    """ONNX Runtime's own transforms of these lengths differ from numpy's by 1e-3."""
    x = normal(*shape)
    result = rewrite_model(dft_model(x, axis, length, **attributes), [ReplaceDft])
    assert [node.op_type for node in result.model.graph.node] == ["Dft_PK"]
    assert rewrite_model(result.model, [ReplaceDft]).applied == []
    (got,) = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path).values()
    signal = x[..., 0] if shape[-1] == 1 else x[..., 0] + 1j * x[..., 1].astype(np.float64)
    along = 1 if axis == -2 else axis
    expected = parts_of(getattr(np.fft, function)(signal, length, along))
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_opset_17_has_the_axis_as_an_attribute():
    x = normal(3, 140, 2)
    result = rewrite_model(node_model("DFT", {"x": x}, opset=17, axis=1), [ReplaceDft])
    (node,) = result.model.graph.node
    attributes = {each.name: each.i for each in node.attribute}
    assert (attributes["axis"], attributes["length"]) == (1, 140)


def test_short_transforms_are_left_to_products():
    assert reason_against(ReplaceDft, dft_model(normal(2, 128, 1), 1)) == (
        "it has 128 points, not more than 128: ExpandDft takes it"
    )


@pytest.mark.parametrize(
    ("skip", "applied"), [([], "ReplaceDft"), (["ReplaceDft"], "ExpandDft")], ids=str
)
def test_without_the_plugin_it_is_a_product(skip, applied):
    choice = RewriteChoice(skip=skip)
    result = rewrite_model(dft_model(normal(2, 140, 1), 1), find_rewrites(), choice)
    assert [each.rewrite for each in result.applied] == [applied]


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(dft_model(normal(2, 1031, 1), 1, onesided=1), path)
    built = build_engine(
        path, options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    )
    assert [record.name for record in built.manifest.plugins] == ["Dft_PK"]
