"""Models that make images, for exports.py."""

from __future__ import annotations

from typing import Any

import torch
from exported_models import Made, model
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it


def warped(x: Any, flow: Any) -> Any:
    """Sample x where the flow points to."""
    height, width = x.shape[2:]
    rows = torch.arange(height).to(x)[:, None] + flow[:, 1]
    columns = torch.arange(width).to(x) + flow[:, 0]
    grid = torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], dim=3)
    return F.grid_sample(x, grid, align_corners=True)


@model(dynamic="x:0,3,4", opset=18)
def recurrent_super_resolution() -> Made:
    """Features of a frame are warped to the next one, forwards and backwards, as in BasicVSR."""

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flow, self.step = nn.Conv2d(6, 2, 3, padding=1), nn.Conv2d(11, 8, 3, padding=1)
            self.upsample = nn.Conv2d(16, 12, 3, padding=1)

        def warp_to(self, frame: Any, other: Any, features: Any) -> Any:
            moved = warped(features, self.flow(torch.cat([frame, other], dim=1)))
            return F.leaky_relu(self.step(torch.cat([frame, moved], dim=1)), 0.1)

        def forward(self, x: Any) -> Any:
            frames = [x[:, at] for at in range(3)]
            features = x.new_zeros(x.shape[0], 8, *x.shape[3:])
            behind: list[Any] = []
            for at in (2, 1, 0):
                features = self.warp_to(frames[at], frames[min(at + 1, 2)], features)
                behind.insert(0, features)
            features, made = torch.zeros_like(features), []
            for at, frame in enumerate(frames):
                features = self.warp_to(frame, frames[max(at - 1, 0)], features)
                both = self.upsample(torch.cat([behind[at], features], dim=1))
                larger = F.interpolate(frame, scale_factor=2.0, mode="bilinear")
                made.append(F.pixel_shuffle(both, 2) + larger)
            return torch.stack(made, dim=1)

    return Recurrent(), {"x": torch.rand(1, 3, 3, 12, 12)}
