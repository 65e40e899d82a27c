import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_stft import ExpandStft
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import outputs_of
from tests.graph_rewrites.samples import node_model, normal

STEP = np.array(3)


def stft_model(shape, window=None, length=None, stored=("step",), **attributes):
    """Return an STFT of a signal; its window is an input unless it is stored."""
    inputs = {"x": normal(*shape), "step": STEP, "window": window, "length": length}
    stored = [name for name in (*stored, "length") if inputs[name] is not None]
    return node_model("STFT", inputs, stored=stored, opset=17, ranks={"y": 4}, **attributes)


@pytest.mark.parametrize(
    ("parts", "onesided", "length"), [(1, 1, 8), (1, 0, 7), (2, 0, 8), (1, 1, 9)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_frames_have_numpys_spectra(parts, onesided, length, dtype):
    x, window = normal(2, 26, parts, dtype=dtype), normal(length, dtype=dtype)
    inputs = {"x": x, "step": STEP, "window": window}
    model = node_model("STFT", inputs, stored=["step"], opset=17, ranks={"y": 4}, onesided=onesided)
    (got,) = outputs_of(ExpandStft, model, {"x": x, "window": window})
    signal = x[..., 0] + (1j * x[..., 1] if parts == 2 else 0)
    frames = np.lib.stride_tricks.sliding_window_view(signal, length, axis=1)[:, ::3] * window
    spectra = np.fft.fft(frames)[..., : length // 2 + 1 if onesided else length]
    expected = np.stack([spectra.real, spectra.imag], -1)
    error = 1e-4 if dtype == np.float32 else 2e-2
    np.testing.assert_allclose(got, expected, rtol=error, atol=error)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            stft_model((2, 26, 1), normal(8), stored=["step", "window"]),
            "TensorRT takes it: its signal is real, and its window stored",
        ),
        (
            stft_model((2, 26, 2), normal(8), onesided=1),
            "it wants half the spectrum of a complex signal",
        ),
        (
            stft_model((2, 26, 1), normal(8), stored=[]),
            "its step or the length of its frames is not known",
        ),
        (
            stft_model((2, 26, 1), normal(8), np.array(9)),
            "its step or the length of its frames is not known",
        ),
    ],
)
def test_what_tensorrt_takes_or_is_not_known_is_left(model, reason):
    (refused,) = rewrite_model(model, [ExpandStft]).refused
    assert refused.reason == reason
