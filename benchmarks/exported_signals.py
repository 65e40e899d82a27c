"""Further models of signals, images, matrices and integers, for exports.py."""

from __future__ import annotations

from typing import Any

import torch
from exported_models import Made, boxes_of, integers, model, normal, positive_definite
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it


@model()
def complex_fourier() -> Made:
    def run(x: Any) -> Any:
        return torch.view_as_real(torch.fft.ifft(torch.fft.fft(torch.view_as_complex(x)) * 2))

    return run, {"x": normal(3, 12, 2)}


@model()
def shifted_fourier_of_images() -> Made:
    return (
        lambda x: torch.fft.fftshift(torch.fft.fft2(x).abs(), dim=(1, 2)),
        {"x": normal(2, 6, 9)},
    )


@model()
def real_fourier_of_images() -> Made:
    def run(x: Any) -> Any:
        return torch.fft.irfft2(torch.fft.rfft2(x, norm="ortho") * 0.5, s=(6, 8), norm="ortho")

    return run, {"x": normal(2, 6, 8)}


@model()
def convolution_by_fourier() -> Made:
    def run(x: Any, kernel: Any) -> Any:
        spectrum = torch.fft.rfft(x, n=24) * torch.fft.rfft(kernel, n=24)
        return torch.fft.irfft(spectrum, n=24)[..., : x.shape[-1]]

    return run, {"x": normal(2, 16), "kernel": normal(8)}


@model(dynamic="x:1")
def mel_features() -> Made:
    window, filters = torch.hann_window(16), torch.rand(9, 5)

    def run(x: Any) -> Any:
        found = torch.stft(x, 16, 4, window=window, center=False, return_complex=True)
        return (found.abs().square().mT @ filters).clamp(min=1e-5).log()

    return run, {"x": normal(2, 64)}


@model(dynamic="x:1")
def spectrogram_with_a_given_window() -> Made:
    def run(x: Any, window: Any) -> Any:
        return torch.view_as_real(torch.stft(x, 16, 4, window=window, return_complex=True))

    return run, {"x": normal(2, 64), "window": torch.hann_window(16)}


@model()
def two_sided_spectrogram() -> Made:
    def run(x: Any) -> Any:
        found = torch.stft(x, 12, 6, onesided=False, return_complex=True, normalized=True)
        return found.abs()

    return run, {"x": normal(2, 48)}


@model()
def log_determinant() -> Made:
    return lambda x: torch.logdet(x), {"x": positive_definite(3, 4)}


@model(opset=20)
def affine_grid_of_volumes() -> Made:
    def run(x: Any, theta: Any) -> Any:
        grid = F.affine_grid(theta, [2, 1, 3, 4, 5], align_corners=False)
        return F.grid_sample(x, grid, align_corners=False, mode="nearest")

    theta = torch.eye(3, 4)[None] + 0.1 * normal(2, 3, 4)
    return run, {"x": normal(2, 1, 4, 5, 6), "theta": theta}


@model(opset=18)
def resize_bicubic_antialiased() -> Made:
    return (
        lambda x: F.interpolate(x, size=(5, 4), mode="bicubic", antialias=True),
        {"x": normal(1, 2, 12, 9)},
    )


@model(dynamic="x:2,3 y:2,3")
def resize_to_another() -> Made:
    return (
        lambda x, y: F.interpolate(x, size=y.shape[2:], mode="bilinear") + y,
        {"x": normal(1, 2, 4, 5), "y": normal(1, 2, 9, 7)},
    )


@model(dynamic="x:2")
def resize_linear_of_sequences() -> Made:
    return (
        lambda x: F.interpolate(x, scale_factor=1.5, mode="linear", align_corners=False),
        {"x": normal(1, 2, 8)},
    )


@model(dynamic="x:2,3")
def resize_by_area() -> Made:
    return lambda x: F.interpolate(x, scale_factor=0.5, mode="area"), {"x": normal(1, 2, 8, 8)}


@model(opset=19)
def deform_conv_with_mask() -> Made:
    from torchvision.ops import deform_conv2d

    weight, bias = normal(4, 2, 3, 3), normal(4)
    return (
        lambda x, at, mask: deform_conv2d(
            x, at, weight, bias, stride=2, padding=1, dilation=1, mask=mask
        ),
        {"x": normal(1, 4, 8, 7), "at": normal(1, 36, 4, 4), "mask": torch.rand(1, 18, 4, 4)},
    )


@model(dynamic="boxes:0", opset=16)
def pyramid_roi_align() -> Made:
    from torchvision.ops import MultiScaleRoIAlign

    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = MultiScaleRoIAlign(["a", "b"], 3, 2)

        def forward(self, a: Any, b: Any, boxes: Any) -> Any:
            return self.pool({"a": a, "b": b}, [boxes], [(64, 64)])

    sizes = {"a": normal(1, 2, 16, 16), "b": normal(1, 2, 8, 8)}
    return Pyramid(), sizes | {"boxes": boxes_of(6) * 2}


@model()
def max_pool_of_volumes_with_indices() -> Made:
    return (
        lambda x: F.max_pool3d(x, 2, return_indices=True),
        {"x": normal(1, 2, 4, 4, 6)},
    )


@model()
def power_average_pool() -> Made:
    return lambda x: F.lp_pool2d(x, 2.0, 2), {"x": normal(1, 2, 6, 6)}


@model()
def fold_of_strides() -> Made:
    return (
        lambda x: F.fold(F.unfold(x, 3, stride=2, dilation=2), (9, 9), 3, stride=2, dilation=2),
        {"x": normal(1, 2, 9, 9)},
    )


@model()
def channel_shuffle() -> Made:
    return lambda x: F.channel_shuffle(x, 2), {"x": normal(1, 6, 4, 4)}


@model()
def reflected_and_circular_padding() -> Made:
    return (
        lambda x: (
            F.pad(x, (1, 2, 2, 1), mode="reflect"),
            F.pad(x, (1, 2, 2, 1), mode="circular"),
            F.pad(x, (-1, 2), value=3.0),
        ),
        {"x": normal(1, 2, 5, 6)},
    )


@model(opset=18)
def bytes_of_images() -> Made:
    def run(image: Any) -> Any:
        gray = (image.float() @ torch.tensor([0.299, 0.587, 0.114])).round().clamp(0, 255)
        gray = gray.to(torch.uint8)
        return torch.maximum(gray, 255 - gray), gray // 16, gray > 127

    return run, {"image": torch.randint(0, 256, (4, 5, 3), dtype=torch.uint8)}


@model(dynamic="x:0")
def table_of_bytes() -> Made:
    table = torch.randint(0, 256, (256,), dtype=torch.uint8)
    return (
        lambda x: torch.cat([table[x.long()], x]).float(),
        {"x": torch.randint(0, 256, (9,), dtype=torch.uint8)},
    )


@model(opset=18)
def hash_of_integers() -> Made:
    def run(x: Any) -> Any:
        x = (x ^ (x >> 15)) * 0x2C1B3C6D
        x = x & 0x7FFFFFFF
        return (x ^ (x << 3)) % 1024

    return run, {"x": integers(0, 1 << 30, 9)}


@model()
def logic_of_bools() -> Made:
    return (
        lambda x, y: ((x ^ y) & ~x, (x | y).sum(0), x.cumsum(1), torch.logical_xor(x, y).any()),
        {"x": torch.rand(4, 5) > 0.5, "y": torch.rand(4, 5) > 0.5},
    )


@model(dynamic="x:0")
def divisions_of_integers() -> Made:
    def run(x: Any, y: Any) -> Any:
        floor = torch.div(x, y, rounding_mode="floor")
        return floor, torch.div(x, y, rounding_mode="trunc"), torch.remainder(x, y), x / y

    return run, {"x": integers(-20, 20, 9), "y": torch.tensor([3])}


@model()
def shorts_and_bytes() -> Made:
    def run(x: Any) -> Any:
        short = (x * 3).to(torch.int16)
        return short.float(), x.to(torch.int8).float(), (short + 1).int()

    return run, {"x": integers(-100, 100, 9)}


@model(dynamic="x:0")
def shorts_as_input() -> Made:
    return lambda x: x * 3, {"x": integers(-30000, 30000, 9).to(torch.int16)}


@model()
def shorts_as_output() -> Made:
    return lambda x: (x * 3).to(torch.int16), {"x": integers(-100, 100, 9)}


@model()
def einsums() -> Made:
    def run(a: Any, b: Any) -> Any:
        return (
            torch.einsum("bhid,bhjd->bhij", a, b),
            torch.einsum("bhid,bhjd->hij", a, b),
            torch.einsum("...d,...d", a, b),
            torch.einsum("bhii->bhi", a @ b.mT),
        )

    return run, {"a": normal(2, 3, 4, 5), "b": normal(2, 3, 4, 5)}


@model(dynamic="x:1")
def relative_positions() -> Made:
    table = nn.Embedding(9, 2)

    def run(x: Any) -> Any:
        places = torch.arange(x.shape[1])
        apart = (places[None] - places[:, None]).clamp(-4, 4) + 4
        return (x @ x.mT + table(apart).permute(2, 0, 1)).tril()

    return run, {"x": normal(2, 5, 4)}


@model(dynamic="x:1")
def rotary_positions() -> Made:
    def run(x: Any) -> Any:
        angles = torch.outer(torch.arange(x.shape[1]).float(), torch.tensor([1.0, 0.1]))
        turned = torch.view_as_complex(x.reshape(*x.shape[:-1], 2, 2))
        turned = turned * torch.polar(torch.ones_like(angles), angles)
        return torch.view_as_real(turned).flatten(2)

    return run, {"x": normal(2, 5, 4)}


@model(dynamic="x:1")
def scan_of_states() -> Made:
    """A gated linear recurrence as a parallel scan of cumulative sums."""

    def run(x: Any, gate: Any) -> Any:
        decay = F.logsigmoid(gate).cumsum(1)
        apart = (decay[:, :, None] - decay[:, None]).tril().exp().tril()
        return apart @ x

    return run, {"x": normal(2, 6, 4), "gate": normal(2, 6)}


@model(dynamic="x:0")
def not_finite() -> Made:
    def run(x: Any) -> Any:
        y = x.log()
        return y.nan_to_num(0.0, 9.0, -9.0), y.isnan(), y.isinf(), torch.isfinite(y).all()

    return run, {"x": torch.tensor([1.0, 0.0, -1.0, float("inf")])}
