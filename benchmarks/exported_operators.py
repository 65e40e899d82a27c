"""Further models of one or a few operators, for exports.py."""

from __future__ import annotations

from typing import Any

import torch
from exported_models import Made, integers, model, normal
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it


@model(opset=16)
def roi_pool() -> Made:
    from torchvision.ops import roi_pool

    boxes = torch.tensor([[0, 0, 0, 5, 5], [0, 2, 2, 7, 6.0]])
    return lambda x, boxes: roi_pool(x, boxes, (2, 2)), {"x": normal(1, 2, 9, 9), "boxes": boxes}


@model(dynamic="x:2,3", opset=16)
def grid_sample_bicubic() -> Made:
    return (
        lambda x, grid: F.grid_sample(x, grid, mode="bicubic", padding_mode="reflection"),
        {"x": normal(1, 2, 6, 7), "grid": torch.rand(1, 3, 4, 2) * 2.4 - 1.2},
    )


@model(dynamic="x:1", opset=18)
def real_fourier_of_any_length() -> Made:
    return lambda x: torch.fft.rfft(x, dim=1).abs(), {"x": normal(2, 12)}


@model()
def resize_nearest_exact() -> Made:
    return (
        lambda x: F.interpolate(x, size=(7, 9), mode="nearest-exact"),
        {"x": normal(1, 2, 4, 5)},
    )


@model()
def resize_trilinear() -> Made:
    return (
        lambda x: F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=True),
        {"x": normal(1, 2, 3, 4, 5)},
    )


@model(dynamic="x:0")
def roll_flip_and_rotate() -> Made:
    return lambda x: (x.roll(2, 0), x.flip(1), torch.rot90(x, 1, (1, 2))), {"x": normal(4, 3, 5)}


@model()
def adaptive_max_pool_with_indices() -> Made:
    return (
        lambda x: F.adaptive_max_pool2d(x, 3, return_indices=True),
        {"x": normal(1, 2, 6, 9)},
    )


@model(dynamic="x:0 at:0")
def index_add_and_copy() -> Made:
    def run(x: Any, at: Any) -> Any:
        zeros = x.new_zeros(8, x.shape[1])
        return zeros.index_add(0, at, x), zeros.index_copy(0, at, x)

    return run, {"x": normal(5, 3), "at": torch.tensor([1, 0, 7, 3, 4])}


@model(dynamic="x:0 at:0")
def scatter_add_of_integers() -> Made:
    def run(x: Any, at: Any) -> Any:
        return x.new_zeros(6).scatter_add(0, at, x)

    return run, {"x": integers(0, 9, 10), "at": integers(0, 6, 10)}


@model(dynamic="x:0")
def where_true() -> Made:
    return lambda x: torch.where(x > 0)[0], {"x": normal(12)}


@model(dynamic="x:0")
def rows_of_places() -> Made:
    def run(x: Any) -> Any:
        rows, columns = torch.where(x > 0.3)
        return x[rows, columns] * 2, rows * x.shape[1] + columns

    return run, {"x": normal(5, 4)}


@model(dynamic="x:0")
def one_hot_of_classes() -> Made:
    return lambda x: F.one_hot(x, 5).float(), {"x": integers(0, 5, 7)}


@model()
def pixel_unshuffle() -> Made:
    return lambda x: F.pixel_shuffle(F.pixel_unshuffle(x, 2) * 2, 2), {"x": normal(1, 2, 4, 6)}


@model(dynamic="x:0")
def any_and_all() -> Made:
    return lambda x: ((x > 1).any(1), (x > -1).all(1), (x > 0).sum(1)), {"x": normal(5, 4)}


@model()
def fake_quantization() -> Made:
    scales, zeros = torch.rand(3) * 0.1 + 0.01, torch.zeros(3, dtype=torch.int32)
    return (
        lambda x: torch.fake_quantize_per_channel_affine(x, scales, zeros, 0, -128, 127),
        {"x": normal(3, 5)},
    )


@model(dynamic="image:1,2")
def preprocessing_of_bytes() -> Made:
    mean, deviation = torch.rand(3), torch.rand(3) + 0.5

    def run(image: Any) -> Any:
        x = (image.float() / 255 - mean) / deviation
        return F.interpolate(x.permute(0, 3, 1, 2), size=(8, 8), mode="bilinear")

    return run, {"image": torch.randint(0, 256, (1, 9, 11, 3), dtype=torch.uint8)}


@model()
def bitwise_of_integers() -> Made:
    return (
        lambda x, y: (x & y, x | y, x ^ y, ~x),
        {"x": integers(0, 99, 7), "y": integers(0, 99, 7)},
    )


@model(dynamic="x:0 counts:0")
def shifts_by_counts() -> Made:
    return (
        lambda x, n: (torch.bitwise_right_shift(x, n), torch.bitwise_left_shift(x, n)),
        {"x": integers(-99, 99, 7), "counts": integers(0, 20, 7)},
    )


@model(opset=18)
def bitwise_of_bytes() -> Made:
    x = torch.randint(0, 256, (7,), dtype=torch.uint8)
    return lambda x: ((x >> 4).float(), (x & 15).float()), {"x": x}


@model()
def double_precision() -> Made:
    layer = nn.Linear(4, 3).double()
    return lambda x: layer(x.double()).float(), {"x": normal(2, 4)}


@model()
def half_precision() -> Made:
    layer = nn.Linear(4, 3).half()
    return lambda x: layer(x.half()).float().softmax(1), {"x": normal(2, 4)}


@model(dynamic="at:0 starts:0")
def embedding_bag_mean() -> Made:
    bag = nn.EmbeddingBag(10, 4, mode="mean")
    return bag, {"at": integers(0, 10, 9), "starts": torch.tensor([0, 2, 5])}


@model(dynamic="x:0,2")
def transposed_convolution() -> Made:
    layer = nn.ConvTranspose1d(4, 6, 5, stride=3, padding=1, output_padding=2, groups=2)
    return layer, {"x": normal(2, 4, 7)}


@model(dynamic="x:0,2")
def normalizations() -> Made:
    return (
        nn.Sequential(
            nn.GroupNorm(2, 4), nn.InstanceNorm1d(4, affine=True), nn.BatchNorm1d(4), nn.GELU()
        ),
        {"x": normal(2, 4, 7)},
    )


@model(dynamic="x:1", opset=14)
def recurrent_layers() -> Made:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(4, 5, bidirectional=True, batch_first=True)
            self.rnn = nn.RNN(10, 3, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.rnn(self.gru(x)[0])[0]

    return Recurrent(), {"x": normal(2, 6, 4)}


@model(opset=18)
def attention_with_masks() -> Made:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Any, is_padding: Any) -> Any:
            return self.attention(x, x, x, key_padding_mask=is_padding)[0]

    is_padding = torch.tensor([[False] * 4 + [True], [False] * 5])
    return Attention(), {"x": normal(2, 5, 8), "is_padding": is_padding}


@model(dynamic="x:1")
def causal_attention() -> Made:
    return (
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        {"x": normal(2, 5, 8)},
    )


@model(opset=18)
def norms() -> Made:
    return (
        lambda x: (x.norm(3, dim=1), torch.linalg.norm(x, float("inf"), dim=1), x.std(0), x.var(1)),
        {"x": normal(4, 5)},
    )


@model(dynamic="x:0")
def condition_on_data() -> Made:
    class Conditional(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, (x,))

    return Conditional(), {"x": normal(4, 5)}


@model(dynamic="x:0", opset=14)
def scripted_loop() -> Made:
    def run(x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        for _ in range(int(steps)):
            x = x * 0.5 + 1
        return x

    return torch.jit.script(run), {"x": normal(4, 5), "steps": torch.tensor(3)}


@model(opset=14)
def scripted_list() -> Made:
    def run(x: torch.Tensor) -> torch.Tensor:
        parts: list[torch.Tensor] = []
        for i in range(x.shape[0]):
            parts.append(x[i].cumsum(0) * float(i + 1))
        return torch.stack(parts)

    return torch.jit.script(run), {"x": normal(4, 5)}


@model(dynamic="x:0", is_random=True)
def dropout_in_training() -> Made:
    return lambda x: F.dropout(x, 0.3, training=True), {"x": normal(4, 5)}


@model(is_random=True)
def random_integers() -> Made:
    return lambda x: x + torch.randint(0, 9, (4, 5)), {"x": normal(4, 5)}


@model(dynamic="x:0")
def variable_chunks() -> Made:
    return lambda x: (x[::2], x[-3:], x.chunk(2, 1)[1], x[x.shape[0] // 2 :]), {"x": normal(6, 4)}


@model(dynamic="x:0")
def nested_masks() -> Made:
    def run(x: Any) -> Any:
        y = x[x[:, 0] > 0]
        return y[y[:, 1] > 0].sum(0)

    return run, {"x": normal(12, 4)}


@model(dynamic="x:0 scores:0")
def keep_the_best() -> Made:
    def run(x: Any, scores: Any) -> Any:
        is_good = scores > 0.3
        kept, good = x[is_good], scores[is_good]
        best = good.topk(min(5, good.shape[0])).indices
        return kept[best]

    return run, {"x": normal(30, 4), "scores": torch.rand(30)}


@model()
def complex_products() -> Made:
    def run(x: Any, y: Any) -> Any:
        return torch.view_as_real(torch.view_as_complex(x) * torch.view_as_complex(y))

    return run, {"x": normal(4, 2), "y": normal(4, 2)}


@model(dynamic="x:0")
def moving_minimum() -> Made:
    return lambda x: -F.max_pool1d(-x, 3, 1, 1, dilation=1), {"x": normal(2, 3, 9)}


@model()
def dilated_pool() -> Made:
    return lambda x: F.max_pool2d(x, 3, 2, 1, dilation=2), {"x": normal(1, 2, 9, 9)}


@model()
def ceiling_pool() -> Made:
    return (
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        {"x": normal(1, 2, 8, 8)},
    )
