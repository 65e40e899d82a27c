"""Further models that index, scatter, sort and count, for exports.py."""

from __future__ import annotations

from typing import Any

import torch
from exported_models import Made, integers, model, normal
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it


def _scattered(reduction: str, include_self: bool) -> Made:
    def run(x: Any, at: Any, to: Any) -> Any:
        return to.scatter_reduce(0, at, x, reduction, include_self=include_self)

    return run, {"x": normal(9, 4), "at": integers(0, 5, 9, 4), "to": normal(6, 4)}


@model(dynamic="x:0 at:0", opset=18)
def scatter_reduce_sum_with_self() -> Made:
    return _scattered("sum", True)


@model(dynamic="x:0 at:0", opset=18)
def scatter_reduce_sum_without_self() -> Made:
    return _scattered("sum", False)


@model()
def marks_of_edges() -> Made:
    return (
        lambda ends: torch.zeros(5).scatter(0, ends, 1.0),
        {"ends": integers(0, 5, 12)},
    )


@model(dynamic="at:0 starts:0")
def embedding_bag_with_padding() -> Made:
    bag = nn.EmbeddingBag(10, 4, mode="mean", padding_idx=3)
    at = torch.tensor([1, 3, 4, 3, 3, 0, 9, 3, 2])
    return bag, {"at": at, "starts": torch.tensor([0, 3, 5])}


@model(dynamic="x:0 at:0", opset=18)
def scatter_reduce_product() -> Made:
    return _scattered("prod", True)


@model(dynamic="x:0 at:0", opset=18)
def scatter_reduce_product_without_self() -> Made:
    return _scattered("prod", False)


@model(dynamic="x:0 at:0", opset=18)
def scatter_reduce_minimum() -> Made:
    return _scattered("amin", True)


@model(dynamic="x:0 at:0", opset=18)
def scatter_reduce_minimum_without_self() -> Made:
    return _scattered("amin", False)


@model(dynamic="x:0 at:0", opset=18)
def scatter_reduce_mean_with_self() -> Made:
    return _scattered("mean", True)


@model(dynamic="x:0 codes:0")
def segment_means() -> Made:
    def run(x: Any, codes: Any) -> Any:
        sums = x.new_zeros(4, x.shape[1]).index_add(0, codes, x)
        return sums / torch.bincount(codes, minlength=4)[:, None].clamp(min=1)

    return run, {"x": normal(9, 3), "codes": integers(0, 4, 9).sort().values}


@model(dynamic="x:0 codes:0", opset=18)
def segment_softmax() -> Made:
    def run(x: Any, codes: Any) -> Any:
        at = codes[:, None].expand(x.shape)
        most = x.new_full((4, x.shape[1]), -1e9).scatter_reduce(0, at, x, "amax")
        e = (x - most[codes]).exp()
        return e / e.new_zeros(4, x.shape[1]).scatter_add(0, at, e)[codes]

    return run, {"x": normal(9, 3), "codes": integers(0, 4, 9)}


@model(dynamic="codes:0")
def counts_of_codes() -> Made:
    return lambda codes: torch.bincount(codes, minlength=7), {"codes": integers(0, 7, 20)}


@model(dynamic="x:0")
def unique_with_inverse() -> Made:
    def run(x: Any) -> Any:
        values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True)
        return values[inverse] * counts[inverse], counts.float() / counts.sum()

    return run, {"x": integers(0, 5, 12)}


@model()
def unique_rows() -> Made:
    return lambda x: torch.unique(x, dim=0), {"x": integers(0, 2, 9, 2)}


@model(dynamic="x:0")
def masked_scatter() -> Made:
    return (
        lambda x, mask, source: x.masked_scatter(mask, source),
        {"x": normal(5, 4), "mask": torch.rand(5, 4) > 0.5, "source": normal(20)},
    )


@model(dynamic="tokens:1")
def image_tokens_into_text() -> Made:
    """Vision-language models write the image's rows at the image's tokens."""
    table = nn.Embedding(20, 6)

    def run(tokens: Any, rows: Any) -> Any:
        text = table(tokens)
        is_image = (tokens == 7)[..., None].expand_as(text)
        return text.masked_scatter(is_image, rows)

    tokens = torch.tensor([[1, 7, 7, 3, 4, 7, 7, 2]])
    return run, {"tokens": tokens, "rows": normal(4, 6)}


@model(dynamic="x:0 mask:0")
def add_where_masked() -> Made:
    def run(x: Any, mask: Any) -> Any:
        y = x.clone()
        y[mask] += 1.0
        return y

    return run, {"x": normal(5, 4), "mask": torch.rand(5, 4) > 0.5}


@model(dynamic="x:0")
def normalize_masked_rows() -> Made:
    def run(x: Any) -> Any:
        y = x.clone()
        mask = x.sum(1) > 0
        y[mask] = F.normalize(x[mask], dim=1)
        return y

    return run, {"x": normal(7, 4)}


@model(dynamic="x:0 at:0 values:0")
def accumulate_at_pairs() -> Made:
    def run(x: Any, at: Any, values: Any) -> Any:
        return x.index_put((at, at.flip(0)), values, accumulate=True)

    return run, {"x": normal(5, 5), "at": integers(0, 5, 9), "values": normal(9)}


@model()
def write_a_window() -> Made:
    def run(x: Any, y: Any) -> Any:
        x = x.clone()
        x[:, 1:-1, ::2] = y
        x[..., -1] *= 2
        return x

    return run, {"x": normal(2, 5, 6), "y": normal(2, 3, 3)}


@model(dynamic="x:0")
def argsort_of_argsort() -> Made:
    return lambda x: x.argsort(0).argsort(0), {"x": normal(9, 3)}


@model(dynamic="x:0")
def nan_median_and_quantiles() -> Made:
    at = torch.tensor([0.1, 0.5, 0.9])
    return lambda x: torch.quantile(x, at, dim=1), {"x": normal(5, 9)}


@model()
def mode_and_minimum() -> Made:
    return (
        lambda x: (*x.aminmax(dim=1), *x.min(dim=0), x.argmin()),
        {"x": normal(4, 7)},
    )


@model(dynamic="x:0")
def cumulative_counts() -> Made:
    return lambda x: ((x > 0).cumsum(0), x.flip(0).cumsum(0).flip(0)), {"x": normal(9, 3)}


@model(dynamic="x:0")
def histogram_of_rows() -> Made:
    def run(x: Any) -> Any:
        bins = ((x + 3) / 6 * 8).long().clamp(0, 7)
        return F.one_hot(bins, 8).sum(1)

    return run, {"x": normal(5, 20)}


@model()
def histogram_of_all() -> Made:
    return lambda x: torch.histc(x, 6, -2, 2), {"x": normal(40)}


@model(dynamic="x:0")
def experts_by_routing() -> Made:
    """Mixture of experts: the two best experts of each token, as dense weights."""
    experts = normal(4, 6, 6)
    gate = nn.Linear(6, 4)

    def run(x: Any) -> Any:
        best, at = gate(x).softmax(1).topk(2, dim=1)
        weights = x.new_zeros(x.shape[0], 4).scatter(1, at, best / best.sum(1, keepdim=True))
        return torch.einsum("te,tf,efg->tg", weights, x, experts)

    return run, {"x": normal(7, 6)}


@model(dynamic="x:0")
def experts_by_places() -> Made:
    """Mixture of experts, as transformers spells it: each expert takes its rows and adds them."""
    experts = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
    gate = nn.Linear(6, 3)

    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts, self.gate = experts, gate

        def forward(self, x: Any) -> Any:
            best, at = self.gate(x).softmax(1).topk(2, dim=1)
            total = torch.zeros_like(x)
            for number, expert in enumerate(self.experts):
                rows, places = torch.where(at == number)
                total = total.index_add(0, rows, expert(x[rows]) * best[rows, places, None])
            return total

    return Experts(), {"x": normal(7, 6)}


@model(dynamic="x:0", is_random=True)
def random_permutation() -> Made:
    return lambda x: x[torch.rand(x.shape[0]).argsort()], {"x": normal(9, 4)}


@model(is_random=True)
def gumbel_sampling() -> Made:
    return lambda x: F.gumbel_softmax(x, hard=True), {"x": normal(3, 6)}


@model(is_random=True)
def multinomial_without_replacement() -> Made:
    return lambda x: torch.multinomial(x.softmax(1), 3), {"x": normal(2, 6)}


@model(dynamic="x:0 lengths:0")
def mask_of_lengths() -> Made:
    def run(x: Any, lengths: Any) -> Any:
        inside = torch.arange(x.shape[1]) < lengths[:, None]
        return x.masked_fill(~inside, float("-inf")).softmax(1), x[inside]

    return run, {"x": normal(3, 7), "lengths": torch.tensor([7, 2, 4])}


@model(dynamic="x:0 lengths:0")
def last_rows_of_sequences() -> Made:
    return (
        lambda x, lengths: x[torch.arange(x.shape[0]), lengths - 1],
        {"x": normal(3, 7, 4), "lengths": torch.tensor([7, 2, 4])},
    )


@model(dynamic="x:0")
def farthest_points() -> Made:
    """PointNet++: farthest point sampling and the neighbours within a radius."""

    def run(x: Any) -> Any:
        distance = torch.full_like(x[:, 0], 1e9)
        at, chosen = x[:, 0].argmin(), []
        for _ in range(4):
            chosen.append(at)
            distance = torch.minimum(distance, (x - x[at]).square().sum(1))
            at = distance.argmax()
        centres = x[torch.stack(chosen)]
        apart = torch.cdist(centres, x)
        near = apart.topk(3, largest=False).indices
        return torch.where(apart < 1.0, 1.0, 0.0).sum(1), x[near].amax(1)

    return run, {"x": normal(20, 3)}


@model(dynamic="x:0")
def pairs_within_a_radius() -> Made:
    def run(x: Any) -> Any:
        apart = (x[:, None] - x[None]).square().sum(2)
        rows, columns = torch.where(apart < 1.0)
        return x.new_zeros(x.shape).index_add(0, rows, x[columns] - x[rows])

    return run, {"x": normal(9, 3)}
