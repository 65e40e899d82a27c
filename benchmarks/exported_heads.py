"""What networks compute around their layers, for exports.py: matching, decoding, hashing."""

from __future__ import annotations

from typing import Any

import torch
from exported_models import Made, integers, model, normal
from torch import nn
from torch.nn import functional as F  # noqa: N812


def _mask(*lengths: int) -> torch.Tensor:
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()


@model(dynamic="x:0,2")
def strided_and_dilated_transpose() -> Made:
    """An upsampling layer with both attributes."""
    layer = nn.ConvTranspose1d(4, 6, 5, stride=3, padding=1, output_padding=2, dilation=2)
    return layer, {"x": normal(2, 4, 9)}


@model(dynamic="x:0")
def strided_and_dilated_transpose_of_volumes() -> Made:
    """The same for volumes."""
    layer = nn.ConvTranspose3d(2, 4, 3, stride=2, padding=1, output_padding=1, dilation=2)
    return layer, {"x": normal(1, 2, 4, 5, 3)}


@model(dynamic="first:0,2,3 second:0,2,3 flow:0,2,3", opset=20)
def lookup_of_correlations() -> Made:
    """RAFT: what a pyramid of correlations holds around the end of each flow."""

    def look_up(first: Any, second: Any, flow: Any) -> Any:
        batch, channels, height, width = first.shape
        products = first.flatten(2).transpose(1, 2) @ second.flatten(2)
        level = products.reshape(batch * height * width, 1, height, width) / channels**0.5
        steps = torch.arange(-1, 2.0)
        window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        places = torch.stack([columns, rows], -1).float() + flow.permute(0, 2, 3, 1)
        found = []
        for at in range(2):
            high, wide = level.shape[2:]
            grid = places.reshape(-1, 1, 1, 2) / 2**at + window
            scaled = [2 * grid[..., 0] / (wide - 1) - 1, 2 * grid[..., 1] / (high - 1) - 1]
            sampled = F.grid_sample(level, torch.stack(scaled, -1), align_corners=True)
            found.append(sampled.reshape(batch, height, width, -1))
            level = F.avg_pool2d(level, 2, 2)
        return torch.cat(found, -1).permute(0, 3, 1, 2)

    maps = {name: normal(1, 4, 8, 8) for name in ("first", "second")}
    return look_up, maps | {"flow": normal(1, 2, 8, 8)}


@torch.jit.script
def _collapsed(logits: torch.Tensor, blank: int) -> torch.Tensor:
    labels: list[int] = []
    before = blank
    for step in range(logits.shape[0]):
        best = int(logits[step].argmax())
        if best != blank and best != before:
            labels.append(best)
        before = best
    return torch.tensor(labels)


@model(dynamic="logits:0")
def labels_of_steps() -> Made:
    """CTC: a list to which a loop appends the best label where it is no blank and no repetition."""
    return lambda logits: _collapsed(logits, 0), {"logits": normal(8, 4)}


@model()
def embedding_bag_with_last_offset() -> Made:
    """The offsets end with the number of ids, and those of the padding do not count."""
    bag = nn.EmbeddingBag(9, 4, mode="mean", include_last_offset=True, padding_idx=2)
    return bag, {"ids": integers(0, 9, 7), "offsets": torch.tensor([0, 3, 3, 7])}


@model(dynamic="at:0 offsets:0")
def means_of_bags_some_empty() -> Made:
    """Bags as a reader of click logs gives them: the last offset too, and one bag without ids."""
    bag = nn.EmbeddingBag(9, 4, mode="mean", include_last_offset=True)
    return bag, {"at": integers(0, 9, 12), "offsets": torch.tensor([0, 4, 4, 7, 12])}


@model(dynamic="scores:0 lengths:0")
def softmax_of_jagged_rows() -> Made:
    """The weights of the items in sessions of different lengths."""

    def weigh(scores: Any, lengths: Any) -> Any:
        session = torch.repeat_interleave(torch.arange(lengths.shape[0]), lengths)
        powers = scores.exp()
        return powers / torch.zeros(lengths.shape[0]).index_add(0, session, powers)[session]

    return weigh, {"scores": normal(14), "lengths": torch.tensor([3, 1, 6, 0, 4])}


@model(dynamic="x:0,1 mask:0,1", opset=18)
def rows_without_padding() -> Made:
    """What ModernBERT does: layers see the tokens that count, in one row."""
    layer = nn.Linear(8, 8)

    def compute(x: Any, mask: Any) -> Any:
        places = mask.flatten().nonzero()[:, 0]
        rows = layer(x.flatten(0, 1)[places]).relu()
        padded = torch.zeros_like(x).flatten(0, 1).index_copy(0, places, rows)
        return padded.reshape(x.shape), F.pad(mask.sum(1).cumsum(0), (1, 0))

    return compute, {"x": normal(2, 6, 8), "mask": _mask(6, 4)}


@model(dynamic="x:0,1 ids:0,1", opset=18)
def rows_at_the_mask_token() -> Made:
    """A masked language model: the best words of the places to fill."""

    def compute(x: Any, ids: Any) -> Any:
        places = (ids == 4).nonzero()
        return tuple(x[places[:, 0], places[:, 1]].softmax(-1).topk(3))

    ids = torch.tensor([[3, 4, 2, 4, 0, 0], [5, 6, 4, 8, 2, 0]])
    return compute, {"x": normal(2, 6, 9), "ids": ids}


@model(dynamic="x:0,1 ids:0,1", opset=18)
def rows_at_the_last_token() -> Made:
    """BART's classifier: the last row whose id is that of the end."""

    def compute(x: Any, ids: Any) -> Any:
        return x[ids.eq(2)].reshape(x.shape[0], -1, 8)[:, -1]

    return compute, {"x": normal(2, 4, 8), "ids": torch.tensor([[3, 2, 0, 0], [5, 6, 7, 2]])}


@model(dynamic="scores:1,2", opset=18)
def mutual_matches() -> Made:
    """SuperGlue: Sinkhorn iterations, and the pairs that are each other's best."""

    def match(scores: Any) -> Any:
        first, second = torch.zeros_like(scores[:, :, 0]), torch.zeros_like(scores[:, 0])
        for _ in range(3):
            first = -torch.logsumexp(scores + second[:, None], 2)
            second = -torch.logsumexp(scores + first[:, :, None], 1)
        scores = scores + first[:, :, None] + second[:, None]
        best, back = scores.max(2), scores.max(1).indices
        own = torch.arange(scores.shape[1])[None]
        is_mutual = (own == back.gather(1, best.indices)) & (best.values.exp() > 0.1)
        return torch.where(is_mutual, best.indices, -1), torch.stack(torch.where(is_mutual), 1)

    return match, {"scores": normal(1, 6, 7) * 3}


@model(opset=18)
def matches_of_patches() -> Made:
    """LoFTR: where a row and a column of similarities have their largest value in common."""

    def match(first: Any, second: Any) -> Any:
        products = first @ second.transpose(1, 2)
        chance = products.softmax(1) * products.softmax(2)
        is_row, is_column = (chance == chance.amax(axis, keepdim=True) for axis in (1, 2))
        places = ((chance > 0.02) & is_row & is_column).nonzero()
        patches = F.unfold(first.transpose(1, 2).reshape(1, 4, 3, 4), 3, padding=1)
        return places, chance[tuple(places.unbind(1))], patches.transpose(1, 2)[0][places[:, 1]]

    return match, {"first": normal(1, 12, 4), "second": normal(1, 12, 4)}


@model(dynamic="x:0,2,3 flow:0,2,3", opset=18)
def splatting() -> Made:
    """Forward warping: each pixel adds its colours to the four around the end of its flow."""

    def splat(x: Any, flow: Any) -> Any:
        batch, channels, height, width = x.shape
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        across, down = columns + flow[:, 0], rows + flow[:, 1]
        out = x.new_zeros(batch, channels, height * width)
        for step in range(4):
            column, row = across.floor() + step % 2, down.floor() + step // 2
            weight = (1 - (across - column).abs()) * (1 - (down - row).abs())
            is_in = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            places = place.long().reshape(batch, 1, -1).expand(-1, channels, -1)
            out = out.scatter_add(2, places, (x * (weight * is_in)[:, None]).flatten(2))
        return out.reshape(x.shape)

    return splat, {"x": normal(1, 3, 6, 7), "flow": normal(1, 2, 6, 7)}


@model(dynamic="x:0 cells:0", opset=18)
def pooled_cells() -> Made:
    """Lift, splat, shoot: sorted by cell, sums are differences of a cumulative sum."""

    def pool(x: Any, cells: Any) -> Any:
        number = cells[:, 0] * 4 + cells[:, 1]
        order = number.argsort()
        sums, cells, number = x[order].cumsum(0), cells[order], number[order]
        is_last = torch.ones(sums.shape[0], dtype=torch.bool)
        is_last[:-1] = number[1:] != number[:-1]
        sums, cells = sums[is_last], cells[is_last]
        grid = x.new_zeros(3, 4, x.shape[1])
        grid[cells[:, 0], cells[:, 1]] = torch.cat([sums[:1], sums[1:] - sums[:-1]])
        return grid

    cells = torch.stack([integers(0, 3, 10), integers(0, 4, 10)], 1)
    return pool, {"x": normal(10, 4), "cells": cells}


@model(dynamic="x:2", opset=18)
def overlap_and_add() -> Made:
    """Dual-path networks: a recurrent layer over overlapping chunks, added where they were."""
    layer, mix = nn.GRU(4, 4, bidirectional=True, batch_first=True), nn.Linear(8, 4)

    class Chunks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.mix = layer, mix

        def forward(self, x: Any) -> Any:
            parts = x.unfold(2, 8, 4)
            count = parts.shape[2]
            rows = self.layer(parts.permute(0, 2, 3, 1).reshape(-1, 8, 4))[0]
            rows = self.mix(rows).reshape(x.shape[0], count * 8, 4).transpose(1, 2)
            places = (torch.arange(count)[:, None] * 4 + torch.arange(8)).reshape(-1)
            return torch.zeros_like(x).index_add(2, places, rows)

    return Chunks(), {"x": normal(2, 4, 32)}


@model(dynamic="q:0 k:0 v:0")
def auto_correlation() -> Made:
    """Autoformer: values rolled by the delays at which queries and keys agree most."""

    def attend(q: Any, k: Any, v: Any) -> Any:
        length = q.shape[1]
        product = torch.fft.rfft(q, dim=1) * torch.fft.rfft(k, dim=1).conj()
        weights, delays = torch.fft.irfft(product, n=length, dim=1).mean(2).topk(2, 1)
        twice = v.repeat(1, 2, 1)
        places = torch.arange(length)[None, :, None] + delays[:, None]
        rolled = [twice.gather(1, places[..., at : at + 1].expand_as(v)) for at in range(2)]
        return sum(part * weights.softmax(1)[:, at, None, None] for at, part in enumerate(rolled))

    return attend, {name: normal(2, 12, 4) for name in ("q", "k", "v")}


@model(dynamic="ids:0,1")
def hashed_embeddings() -> Made:
    """CANINE: rows of a small table, by several hashes of each character."""
    table = nn.Embedding(16, 4)

    def embed(ids: Any) -> Any:
        rows = [table((ids + 1) * prime % 16) for prime in (31, 43, 59)]
        return torch.cat(rows, -1), table((ids * 2654435761 ^ ids >> 7) & 15)

    return embed, {"ids": integers(0, 50000, 2, 7)}


@model(dynamic="points:1 x:1", opset=18)
def neighbours_and_voxels() -> Made:
    """PointNet++ and sparse grids: the nearest points, those in a ball, and means of voxels."""

    def compute(points: Any, x: Any) -> Any:
        count, distance = points.shape[1], torch.cdist(points, points)
        nearest = distance.topk(4, largest=False).indices
        rows = (
            x[:, None].expand(-1, count, -1, -1).gather(2, nearest[..., None].expand(-1, -1, -1, 4))
        )
        own = torch.arange(count).expand(1, count, -1)
        ball = torch.where(distance > 1, count, own).sort(-1).values[..., :4]
        ball = torch.where(ball == count, ball[..., :1], ball)
        voxels = (points * 4).floor().long()[0]
        kept, group, size = torch.unique(voxels, dim=0, return_inverse=True, return_counts=True)
        means = torch.zeros(kept.shape[0], 4).index_add(0, group, x[0]) / size[:, None]
        return rows.amax(2), ball, kept, means

    return compute, {"points": normal(1, 9, 3), "x": normal(1, 9, 4)}


@model(opset=18)
def masks_of_segments() -> Made:
    """MaskFormer: the queries that are sure, the mask of each pixel and their areas."""

    def compute(classes: Any, masks: Any) -> Any:
        score, label = classes.softmax(-1)[0].max(-1)
        is_kept = (label != 4) & (score > 0.3)
        owner = (masks[0][is_kept].sigmoid() * score[is_kept][:, None, None]).argmax(0)
        return owner, label[is_kept], torch.stack([(owner == at).sum() for at in range(3)])

    return compute, {"classes": normal(1, 6, 5) * 3, "masks": normal(1, 6, 8, 9)}


@model(dynamic="x:0")
def activations_in_float8() -> Made:
    """A layer whose inputs have 8 bits, as training for them rounds its inputs."""
    layer = nn.Linear(8, 6)
    return lambda x: layer((x * 4).to(torch.float8_e4m3fn).float() / 4), {"x": normal(4, 8)}


@model(dynamic="masks:0", opset=17)
def masks_of_an_image() -> Made:
    """Segment Anything: masks without the padding, in the size of the image, a float32 input."""

    def resize(masks: Any, size: Any) -> Any:
        whole = F.interpolate(masks, (64, 64), mode="bilinear", align_corners=False)
        height, width = torch.floor(64 / torch.max(size) * size + 0.5).long()
        high, wide = size.long()
        inner = whole[..., :height, :width]
        return F.interpolate(inner, (high, wide), mode="bilinear", align_corners=False)

    return resize, {"masks": normal(2, 1, 16, 16), "size": torch.tensor([37.0, 45.0])}
