"""Models whose sizes or values decide what runs, for exports.py: scripts, loops, squeezes."""

from __future__ import annotations

import torch
from exported_models import Made, integers, model, normal
from torch import nn


@model(dynamic="x:0")
def branch_on_a_size() -> Made:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.size(0) == 1:
                return x * 2
            return x + x.mean(0, keepdim=True)

    return torch.jit.script(Branch()), {"x": normal(4, 5)}


@model(dynamic="x:0")
def growing_list() -> Made:
    class Steps(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            state = torch.zeros(x.size(1))
            states = []
            for step in range(x.size(0)):
                state = torch.tanh(x[step] + state * 0.5)
                states.append(state)
            return torch.stack(states)

    return torch.jit.script(Steps()), {"x": normal(6, 5)}


@model(dynamic="x:0")
def parts_in_a_loop() -> Made:
    class Parts(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            parts = torch.split(x, 2, dim=1)
            total = torch.zeros_like(parts[0])
            for part in parts:
                total = total + part
            return total

    return torch.jit.script(Parts()), {"x": normal(6, 8)}


@model()
def einsum_with_capitals() -> Made:
    return (
        lambda q, k: torch.einsum("B G I D, B G J D -> B G I J", q, k),
        {"q": normal(2, 3, 4, 5), "k": normal(2, 3, 6, 5)},
    )


@model(dynamic="x:0 edges:1", opset=18)
def hypergraph() -> Made:
    """The number of hyperedges follows from the values of ``edges``."""
    from torch_geometric.nn import HypergraphConv

    return HypergraphConv(8, 4), {"x": normal(6, 8), "edges": integers(0, 6, 2, 10)}


@model(dynamic="x:0 counts:0")
def rows_repeated_by_counts() -> Made:
    return (
        lambda x, counts: x.repeat_interleave(counts, 0),
        {"x": normal(5, 3), "counts": torch.tensor([2, 0, 1, 3, 1])},
    )


@model(dynamic="x:0 durations:0")
def rows_repeated_by_durations() -> Made:
    """As speech synthesis lengthens the states of phonemes, by durations in the logarithm."""
    return (
        lambda x, durations: x.repeat_interleave(durations.exp().round().long(), 0),
        {"x": normal(5, 3), "durations": normal(5)},
    )


@model()
def few_rows_repeated_by_durations() -> Made:
    return (
        lambda x, durations: x.repeat_interleave(durations.exp().round().long(), 0),
        {"x": normal(3, 4), "durations": normal(3)},
    )


@model(dynamic="x:1")
def cut_at_a_predicted_length() -> Made:
    class Cut(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            length = torch.sigmoid(x.mean()) * x.size(1)
            return x[:, : int(length.round().long())]

    return torch.jit.script(Cut()), {"x": normal(2, 9, 4)}


@model(dynamic="x:0 lengths:0")
def starts_of_rows() -> Made:
    class Starts(nn.Module):
        def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            starts = []
            for row in range(x.size(0)):
                starts.append(x[row, : int(lengths[row])])
            return torch.cat(starts)

    inputs = {"x": normal(4, 6, 3), "lengths": torch.tensor([2, 0, 6, 3])}
    return torch.jit.script(Starts()), inputs


@model(dynamic="x:0")
def rows_under_two_conditions() -> Made:
    class Rows(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = []
            for row in range(x.size(0)):
                if bool(x[row, 0] > 0):
                    scaled = torch.tanh(2 * x[row])
                    if bool(scaled[1] > -0.5):
                        rows.append(scaled)
            return torch.stack(rows)

    return torch.jit.script(Rows()), {"x": normal(12, 3)}


@model(dynamic="x:0")
def slices_in_a_loop() -> Made:
    class Windows(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sums = []
            for row in range(x.size(0)):
                sums.append(x[row : row + 2].sum(0))
            return torch.stack(sums)

    return torch.jit.script(Windows()), {"x": normal(5, 6)}


@model(dynamic="x:0 lengths:0")
def sums_of_starts() -> Made:
    class Sums(nn.Module):
        def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            sums = []
            for row in range(x.size(0)):
                sums.append(x[row, : int(lengths[row])].sum(0))
            return torch.stack(sums)

    return torch.jit.script(Sums()), {"x": normal(3, 5, 2), "lengths": torch.tensor([2, 5, 1])}


@model(dynamic="x:0")
def cell_in_a_loop() -> Made:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTMCell(6, 4)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            hidden = torch.zeros(1, 4)
            state = torch.zeros(1, 4)
            for row in range(x.size(0)):
                hidden, state = self.cell(x[row : row + 1], (hidden, state))
            return hidden, state

    return torch.jit.script(Steps()), {"x": normal(5, 6)}


@model()
def split_at_indices() -> Made:
    indices = torch.tensor([1, 3])
    return lambda x: torch.tensor_split(x, indices), {"x": normal(5, 3)}


@model()
def reductions_of_scalars() -> Made:
    return lambda x: (x.max(), x.mean()), {"x": torch.tensor(2.5)}


@model()
def scattered_bools() -> Made:
    inputs = {
        "x": normal(5) > 0,
        "at": torch.tensor([0, 2, 2, 4]),
        "seen": torch.tensor([False, True, False, False]),
    }
    return lambda x, at, seen: x.scatter_add(0, at, seen), inputs


@model(dynamic="x:0")
def sums_in_a_while_loop() -> Made:
    def step(total: torch.Tensor, count: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return total.index_add(0, count.reshape(1), total[:1] * 2), count + 1

    def run(x: torch.Tensor) -> torch.Tensor:
        start = x * 1.0, torch.tensor(0)
        return torch.while_loop(lambda _, count: count < 4, step, start)[0]

    return run, {"x": normal(6, 5)}
