import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_dynamic_dft import ExpandDynamicDft
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model, normal


def dft_model(x, axis, length=None, is_stored=False, **attributes):
    """Return a DFT of an axis whose size is dynamic, or whose length is an input."""
    inputs = {"x": x, "n": None if length is None else np.array(length), "axis": np.array(axis)}
    sizes = ["n" if at == axis % x.ndim else size for at, size in enumerate(x.shape)]
    stored = ["axis", "n"] if is_stored else ["axis"]
    dims = {"x": sizes if length is None or is_stored else x.shape}
    return node_model("DFT", inputs, stored=stored, opset=20, dims=dims, **attributes)


def run(x, axis, length=None, is_stored=False, **attributes):
    model = dft_model(x, axis, length, is_stored, **attributes)
    feeds = {"x": x} if length is None or is_stored else {"x": x, "n": np.array(length)}
    return outputs_of(ExpandDynamicDft, model, feeds)[0]


def parts_of(values):
    return np.stack([values.real, values.imag], -1)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("axis", [0, 1, -2])
@pytest.mark.parametrize(
    ("length", "is_stored"), [(None, False), (4, True), (4, False), (9, False)]
)
def test_transforms_are_numpys(parts, axis, length, is_stored):
    x = normal(6, 5, 7, parts)
    signal = x[..., 0] + (1j * x[..., 1] if parts == 2 else 0)
    along = axis if axis >= 0 else 2
    for attributes, transform in (({}, np.fft.fft), ({"inverse": 1}, np.fft.ifft)):
        got = run(x, axis, length, is_stored, **attributes)
        expected = parts_of(transform(signal, length, along))
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [None, 6, 7, 12])
def test_half_spectra_are_numpys(length):
    x = normal(2, 8, 1)
    spectrum = run(x, 1, length, onesided=1)
    expected = parts_of(np.fft.rfft(x[..., 0], length, 1))
    np.testing.assert_allclose(spectrum, expected, rtol=1e-4, atol=1e-5)
    got = run(spectrum, 1, length, onesided=1, inverse=1)
    padded = np.zeros((2, length or 8, 1), np.float32)
    padded[:, :8] = x[:, :length]
    np.testing.assert_allclose(got, padded, rtol=1e-4, atol=1e-5)


def test_what_is_known_or_not_known_enough_is_left():
    model = node_model(
        "DFT", {"x": normal(2, 8, 1), "n": None, "axis": np.array(1)}, stored=["axis"], opset=20
    )
    assert reason_against(ExpandDynamicDft, model) == "its length is known: ExpandDft takes it"
    model = dft_model(normal(8, 1), 0)
    assert "three axes or more" in reason_against(ExpandDynamicDft, model)
