"""Small models with operators that people export, for exports.py. Weights are random, with a seed.

A model is a function decorated with ``@model``, which returns a torch module or function and its
inputs. ``dynamic`` names the axes that are dynamic in the export, as "x:0,2"; ``opset`` is that of
the TorchScript exporter, where torch.export's one takes 18 and above.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

Made = tuple[Callable[..., Any], dict[str, Any]]


@dataclass(frozen=True)
class ExportedModel:
    """A model to export.

    Attributes:
        name: its name.
        make: returns the module and its inputs by name.
        dynamic: the dynamic axes of each input.
        opset: the opset of the TorchScript exporter.
        is_random: whether two runs give different numbers, so that only the build says something.
    """

    name: str
    make: Callable[[], Made]
    dynamic: dict[str, tuple[int, ...]]
    opset: int
    is_random: bool


MODELS: dict[str, ExportedModel] = {}


def model(
    dynamic: str = "", opset: int = 17, is_random: bool = False
) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    """Add a model to MODELS."""

    def added(make: Callable[[], Made]) -> Callable[[], Made]:
        axes = (part.split(":") for part in dynamic.split())
        named = {name: tuple(map(int, numbers.split(","))) for name, numbers in axes}
        MODELS[make.__name__] = ExportedModel(make.__name__, make, named, opset, is_random)
        return make

    return added


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


def integers(low: int, high: int, *shape: int) -> torch.Tensor:
    return torch.randint(low, high, shape)


@model()
def median_of_rows() -> Made:
    return lambda x: tuple(x.median(dim=1)), {"x": normal(3, 7)}


@model(dynamic="x:0")
def median_of_all() -> Made:
    return lambda x: x.median(), {"x": normal(3, 7)}


@model()
def quantile() -> Made:
    return lambda x: torch.quantile(x, 0.3, dim=1), {"x": normal(3, 7)}


@model()
def kth_value() -> Made:
    return lambda x: tuple(x.kthvalue(3, dim=1)), {"x": normal(3, 7)}


@model(dynamic="x:0")
def search_sorted() -> Made:
    edges = torch.linspace(-2, 2, 9)
    return lambda x: torch.searchsorted(edges, x), {"x": normal(5, 6)}


@model()
def search_sorted_rows() -> Made:
    return (
        lambda edges, x: torch.searchsorted(edges, x, right=True),
        {"edges": normal(4, 9).sort(dim=1).values, "x": normal(4, 6)},
    )


@model(dynamic="x:0", opset=14)
def bucketize() -> Made:
    edges = torch.tensor([-1.0, -0.25, 0.5, 1.5])
    table = nn.Embedding(5, 4)
    return lambda x: table(torch.bucketize(x, edges)), {"x": normal(9)}


@model(dynamic="x:1")
def cumulative_product() -> Made:
    return lambda x: x.cumprod(dim=1), {"x": normal(3, 6)}


@model()
def cumulative_maximum() -> Made:
    return lambda x: tuple(x.cummax(dim=1)), {"x": normal(3, 6)}


@model()
def log_cumulative_sum_exp() -> Made:
    return lambda x: x.logcumsumexp(dim=1), {"x": normal(3, 6)}


def positive_definite(count: int, size: int) -> torch.Tensor:
    root = normal(count, size, size)
    return root @ root.mT + size * torch.eye(size)


@model(dynamic="x:0", opset=13)
def inverse() -> Made:
    return torch.inverse, {"x": positive_definite(2, 4)}


@model()
def cholesky() -> Made:
    return torch.linalg.cholesky, {"x": positive_definite(2, 4)}


@model()
def solve() -> Made:
    return torch.linalg.solve, {"a": positive_definite(2, 4), "b": normal(2, 4, 3)}


@model()
def determinant() -> Made:
    return torch.linalg.det, {"x": positive_definite(2, 3)}


@model()
def triangular_solve() -> Made:
    return (
        lambda a, b: torch.linalg.solve_triangular(a.tril(), b, upper=False),
        {"a": positive_definite(2, 4), "b": normal(2, 4, 3)},
    )


@model(dynamic="x:0,2,3", opset=20)
def spatial_transformer() -> Made:
    def run(x: Any, theta: Any) -> Any:
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)

    theta = torch.eye(2, 3)[None] + 0.1 * normal(2, 2, 3)
    return run, {"x": normal(2, 3, 6, 7), "theta": theta}


@model(dynamic="x:2,3", opset=18)
def resize_antialiased() -> Made:
    def run(x: Any) -> Any:
        size = (x.shape[2] // 2, x.shape[3] // 2)
        return F.interpolate(x, size=size, mode="bilinear", antialias=True)

    return run, {"x": normal(1, 3, 16, 18)}


@model(dynamic="x:2,3")
def resize_bicubic() -> Made:
    return (
        lambda x: F.interpolate(x, scale_factor=2.0, mode="bicubic", align_corners=True),
        {"x": normal(1, 2, 5, 6)},
    )


@model(dynamic="x:0 at:0", opset=16)
def scatter_reduce_maximum() -> Made:
    def run(x: Any, at: Any) -> Any:
        to = x.new_zeros(6, x.shape[1])
        at = at[:, None].expand(-1, x.shape[1])
        return to.scatter_reduce(0, at, x, "amax", include_self=False)

    return run, {"x": normal(9, 4), "at": integers(0, 6, 9)}


@model(dynamic="x:0 at:0", opset=16)
def scatter_reduce_mean() -> Made:
    def run(x: Any, at: Any) -> Any:
        to = x.new_zeros(6, x.shape[1])
        at = at[:, None].expand(-1, x.shape[1])
        return to.scatter_reduce(0, at, x, "mean", include_self=False)

    return run, {"x": normal(9, 4), "at": integers(0, 6, 9)}


@model(dynamic="x:0 mask:0")
def assign_where_masked() -> Made:
    def run(x: Any, mask: Any) -> Any:
        y = x.clone()
        y[mask] = 0.5
        return y * 2

    return run, {"x": normal(5, 4), "mask": torch.rand(5, 4) > 0.5}


@model()
def assign_rows_where_masked() -> Made:
    def run(x: Any, mask: Any, row: Any) -> Any:
        y = x.clone()
        y[mask] = row
        return y

    return run, {"x": normal(5, 4), "mask": torch.rand(5) > 0.5, "row": normal(4)}


@model()
def accumulate_at_indices() -> Made:
    def run(x: Any, at: Any, rows: Any) -> Any:
        return x.index_put((at,), rows, accumulate=True)

    return run, {"x": normal(5, 4), "at": integers(0, 5, 7), "rows": normal(7, 4)}


@model(dynamic="x:0 mask:0")
def ragged_rows() -> Made:
    layer = nn.Linear(4, 4)

    def run(x: Any, mask: Any) -> Any:
        packed = layer(x[mask])
        return x.new_zeros(x.shape).masked_scatter(mask[..., None].expand(x.shape), packed)

    return run, {"x": normal(3, 5, 4), "mask": torch.rand(3, 5) > 0.4}


@model(dynamic="x:0 mask:0")
def masked_mean() -> Made:
    return lambda x, mask: x[mask].mean(), {"x": normal(6, 4), "mask": torch.rand(6, 4) > 0.5}


@model(opset=13)
def packed_sequences() -> Made:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(4, 5, batch_first=True, bidirectional=True)

        def forward(self, x: Any, lengths: Any) -> Any:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
            return nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]

    return Packed(), {"x": normal(2, 6, 4), "lengths": torch.tensor([6, 4])}


@model(is_random=True)
def multinomial() -> Made:
    return lambda x: torch.multinomial(x.softmax(1), 3, replacement=True), {"x": normal(2, 6)}


@model(is_random=True)
def bernoulli() -> Made:
    return torch.bernoulli, {"x": torch.rand(3, 4)}


@model(is_random=True)
def random_like() -> Made:
    return lambda x: x + torch.rand_like(x) * torch.randn_like(x), {"x": normal(3, 4)}


@model()
def spectrogram() -> Made:
    window = torch.hann_window(16)

    def run(x: Any) -> Any:
        return torch.view_as_real(torch.stft(x, 16, 8, window=window, return_complex=True))

    return run, {"x": normal(2, 64)}


@model()
def inverse_spectrogram() -> Made:
    window = torch.hann_window(16)

    def run(x: Any) -> Any:
        return torch.istft(torch.view_as_complex(x), 16, 8, window=window)

    return run, {"x": normal(2, 9, 9, 2)}


@model()
def spectral_filter() -> Made:
    weight = torch.view_as_complex(normal(5, 2))

    def run(x: Any) -> Any:
        return torch.fft.irfft(torch.fft.rfft(x, dim=1) * weight, n=8, dim=1)

    return run, {"x": normal(3, 8)}


@model()
def spectral_filter_of_images() -> Made:
    return lambda x: torch.fft.fft2(x).abs(), {"x": normal(2, 6, 8)}


@model()
def einsum_of_integers() -> Made:
    return (
        lambda a, b: torch.einsum("bij,bjk->bik", a, b),
        {"a": integers(-9, 9, 2, 3, 4), "b": integers(-9, 9, 2, 4, 5)},
    )


@model(dynamic="x:0")
def unique_counts() -> Made:
    return lambda x: torch.unique(x, return_counts=True), {"x": integers(0, 5, 12)}


@model(dynamic="x:0")
def unique_consecutive() -> Made:
    return torch.unique_consecutive, {"x": integers(0, 3, 12)}


@model(dynamic="x:0")
def dynamic_top_k() -> Made:
    return lambda x: tuple(x.topk(x.shape[0] // 2, dim=0)), {"x": normal(9, 4)}


@model(dynamic="x:0")
def stable_sort() -> Made:
    return lambda x: tuple(x.sort(dim=0, stable=True, descending=True)), {"x": normal(9, 4)}


@model(dynamic="boxes:0", opset=16)
def roi_align() -> Made:
    from torchvision.ops import roi_align

    boxes = torch.tensor([[0, 0, 0, 5, 5], [0, 1.5, 2, 7, 6], [0, 3, 1, 6, 7.5]])
    return (
        lambda x, boxes: roi_align(x, boxes, (3, 3), 1.0, 2, True),
        {"x": normal(1, 2, 9, 9), "boxes": boxes},
    )


@model(opset=20)
def volume_grid_sample() -> Made:
    return (
        lambda x, grid: F.grid_sample(x, grid, align_corners=True, padding_mode="border"),
        {"x": normal(1, 2, 3, 4, 5), "grid": torch.rand(1, 2, 3, 4, 3) * 2 - 1},
    )


@model()
def max_unpool() -> Made:
    def run(x: Any) -> Any:
        pooled, at = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(pooled, at, 2)

    return run, {"x": normal(1, 2, 6, 8)}


@model(opset=18)
def unfold_and_fold() -> Made:
    def run(x: Any) -> Any:
        return F.fold(F.unfold(x, 3, padding=1), (6, 7), 3, padding=1)

    return run, {"x": normal(1, 2, 6, 7)}


@model(opset=19)
def deform_conv() -> Made:
    from torchvision.ops import DeformConv2d

    class Deformable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.offset, self.mask = nn.Conv2d(4, 36, 3, padding=1), nn.Conv2d(4, 18, 3, padding=1)
            self.conv = DeformConv2d(4, 6, 3, padding=1, groups=2)

        def forward(self, x: Any) -> Any:
            return self.conv(x, self.offset(x), self.mask(x).sigmoid())

    return Deformable(), {"x": normal(1, 4, 8, 9)}


def boxes_of(count: int) -> torch.Tensor:
    low = torch.rand(count, 2) * 20
    return torch.cat([low, low + 2 + torch.rand(count, 2) * 10], dim=1)


@model(dynamic="boxes:0 scores:0")
def suppression() -> Made:
    from torchvision.ops import nms

    def run(boxes: Any, scores: Any) -> Any:
        keep = nms(boxes, scores, 0.4)
        return boxes[keep], scores[keep]

    return run, {"boxes": boxes_of(20), "scores": torch.rand(20)}


@model(dynamic="boxes:0 scores:0 classes:0")
def suppression_by_class() -> Made:
    from torchvision.ops import batched_nms

    def run(boxes: Any, scores: Any, classes: Any) -> Any:
        keep = batched_nms(boxes, scores, classes, 0.4)[:10]
        return boxes[keep], scores[keep], classes[keep]

    given = {"boxes": boxes_of(30), "scores": torch.rand(30), "classes": integers(0, 3, 30)}
    return run, given


@model(dynamic="x:0", opset=13)
def softmax_of_a_vector() -> Made:
    return lambda x: x.softmax(0), {"x": normal(7)}


@model(dynamic="x:0")
def histogram() -> Made:
    return lambda x: torch.bincount(x, minlength=6), {"x": integers(0, 6, 20)}


@model(dynamic="x:0")
def distances() -> Made:
    return torch.cdist, {"x": normal(5, 3), "y": normal(4, 3)}


@model(dynamic="at:0 starts:0")
def embedding_bag() -> Made:
    bag = nn.EmbeddingBag(10, 4, mode="sum")
    return bag, {"at": integers(0, 10, 9), "starts": torch.tensor([0, 2, 5])}


@model(dynamic="at:0,1")
def embedding_bag_max() -> Made:
    return nn.EmbeddingBag(10, 4, mode="max"), {"at": integers(0, 10, 3, 5)}


@model(dynamic="at:0 starts:0 factors:0")
def embedding_bag_of_factors() -> Made:
    table = normal(10, 4)

    def bag(at: torch.Tensor, starts: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
        return F.embedding_bag(at, table, starts, mode="sum", per_sample_weights=factors)

    starts = torch.tensor([0, 2, 5])
    return bag, {"at": integers(0, 10, 9), "starts": starts, "factors": normal(9)}


@model()
def integer_remainders() -> Made:
    return (
        lambda x, y: (x % y, torch.fmod(x, y), x // y, x << 2, x >> 1),
        {"x": integers(-50, 50, 9), "y": integers(1, 7, 9)},
    )


@model()
def is_in_list() -> Made:
    values = torch.tensor([1, 3, 4])
    return lambda x: torch.isin(x, values), {"x": integers(0, 6, 9)}


@model(dynamic="x:2,3")
def adaptive_pool() -> Made:
    return lambda x: F.adaptive_avg_pool2d(x, (1, 1)), {"x": normal(1, 2, 7, 9)}


@model()
def special_functions() -> Made:
    return lambda x: (x.erf(), torch.atan2(x, x + 1), x.frac(), x.expm1()), {"x": normal(3, 5)}


@model(dynamic="x:0,1")
def diagonal_and_triangles() -> Made:
    return lambda x: (x.diagonal(), x.tril(-1), x.triu(1)), {"x": normal(5, 5)}


@model(dynamic="x:1")
def windows() -> Made:
    return lambda x: x.unfold(1, 4, 2), {"x": normal(2, 12)}


@model(dynamic="x:0")
def non_zero_and_select() -> Made:
    def run(x: Any) -> Any:
        return (x > 0).nonzero(), x.masked_select(x > 0.5)

    return run, {"x": normal(6, 4)}


@model(dynamic="x:0,1")
def greedy_decoding() -> Made:
    def run(x: Any) -> Any:
        best = x.argmax(-1)
        before = F.pad(best[:, :-1], (1, 0), value=0)
        return best * ((best != before) & (best != 0))

    return run, {"x": normal(2, 12, 5)}
