import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_dft import ExpandDft
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model, normal


def dft_model(x, axis, length=None, **attributes):
    inputs = {
        "x": x,
        "n": None if length is None else np.array(length),
        "axis": np.array(axis),
    }
    stored = [name for name in ("n", "axis") if inputs[name] is not None]
    return node_model("DFT", inputs, stored=stored, opset=20, **attributes)


def complex_of(x):
    return x[..., 0] + (1j * x[..., 1] if x.shape[-1] == 2 else 0)


def parts_of(values):
    return np.stack([values.real, values.imag], -1)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("axis", [1, 2, -2])
@pytest.mark.parametrize("length", [None, 4, 9])
def test_transforms_are_numpys(parts, axis, length):
    x = normal(2, 6, 5, parts)
    signal = complex_of(x.astype(np.float64))
    along = axis if axis > 0 else 2
    for attributes, expected in [
        ({}, parts_of(np.fft.fft(signal, length, along))),
        ({"inverse": 1}, parts_of(np.fft.ifft(signal, length, along))),
    ]:
        (got,) = outputs_of(ExpandDft, dft_model(x, axis, length, **attributes), {"x": x})
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [None, 6, 7])
def test_half_spectra_are_numpys(length):
    x = normal(2, 8, 1)
    (spectrum,) = outputs_of(ExpandDft, dft_model(x, 1, length, onesided=1), {"x": x})
    expected = parts_of(np.fft.rfft(x[..., 0].astype(np.float64), length, 1))
    np.testing.assert_allclose(spectrum, expected, rtol=1e-4, atol=1e-5)
    model = dft_model(spectrum, 1, length, onesided=1, inverse=1)
    (got,) = outputs_of(ExpandDft, model, {"x": spectrum})
    np.testing.assert_allclose(got, x[:, :length], rtol=1e-4, atol=1e-5)


def test_long_transforms_keep_their_precision():
    x = normal(1, 1000, 1)
    (got,) = outputs_of(ExpandDft, dft_model(x, 1), {"x": x})
    expected = parts_of(np.fft.fft(x[..., 0].astype(np.float64), axis=1))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)


def test_a_dynamic_batch_is_fine():
    x = normal(3, 8, 2)
    model = node_model("DFT", {"x": x}, opset=17, axis=1, dims={"x": ["n", 8, 2]})
    expected = parts_of(np.fft.fft(complex_of(x.astype(np.float64)), axis=1))
    (got,) = outputs_of(ExpandDft, model, {"x": x})
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_unknown_lengths_are_left():
    model = node_model("DFT", {"x": normal(3, 8, 2)}, opset=17, dims={"x": [3, "n", 2]})
    reason = "the size of the transformed axis, or of the last one, is unknown"
    assert reason_against(ExpandDft, model) == reason
    model = node_model("DFT", {"x": normal(3, 8, 2), "n": np.array(8)}, opset=17, ranks={"y": 3})
    assert reason_against(ExpandDft, model) == "the length or the axis is not stored in the model"
    model = node_model("DFT", {"x": normal(3, 8, 2).astype(np.float64)}, opset=17)
    assert reason_against(ExpandDft, model) == (
        "'x' is float64; expected float32, float16 or bfloat16"
    )
