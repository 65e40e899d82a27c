"""Export the models of test_fuse_deformable_attention.py with PyTorch's two ONNX exporters.

    python -m tests.graph_rewrites.models.export_deformable_attention

needs torch, transformers, onnx and onnxscript. Each model is the multi-scale deformable attention
of one family of transformers: Deformable DETR's, which RT-DETR and Grounding DINO share, and
RT-DETR v2's.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn
from transformers.models.deformable_detr import modeling_deformable_detr
from transformers.models.rt_detr_v2 import modeling_rt_detr_v2

from tests.graph_rewrites.models.dynamo_export import export_dynamo

LEVELS = [(6, 8), (3, 4), (2, 2)]
PIXELS = sum(height * width for height, width in LEVELS)
ITEMS, QUERIES, HEADS, CHANNELS, POINTS = 2, 5, 4, 8, 2


class DeformableDetr(nn.Module):
    """Locations and weights have an axis of levels and one of points."""

    def __init__(self):
        super().__init__()
        self.attention = modeling_deformable_detr.MultiScaleDeformableAttention()

    def forward(self, value, locations, weights):
        sizes = torch.tensor(LEVELS)
        return self.attention(value, sizes, LEVELS, None, locations, weights, 64)


class RTDetrV2(nn.Module):
    """Levels and points are one axis."""

    def forward(self, value, locations, weights):
        attention = modeling_rt_detr_v2.multi_scale_deformable_attention_v2
        return attention(value, LEVELS, locations, weights, [POINTS] * len(LEVELS))


def main() -> None:
    """Write deformable_attention_{family}_{exporter}.onnx next to this file."""
    folder = Path(__file__).parent
    warnings.simplefilter("ignore")
    at = (ITEMS, QUERIES, HEADS, len(LEVELS), POINTS)
    value, locations, weights = (
        torch.randn(ITEMS, PIXELS, HEADS, CHANNELS),
        torch.rand(*at, 2),
        torch.rand(*at),
    )
    names = ["value", "locations", "weights"]
    axes = [{0: "batch"}, *[{0: "batch", 1: "queries"}] * 2]
    dims = [{axis: torch.export.Dim(name) for axis, name in each.items()} for each in axes]
    merged = locations.flatten(3, 4), weights.flatten(3, 4)
    for family, model, arguments in (
        ("detr", DeformableDetr(), (value, locations, weights)),
        ("rt_detr_v2", RTDetrV2(), (value, *merged)),
    ):
        torch.onnx.export(
            model,
            arguments,
            folder / f"deformable_attention_{family}_ts.onnx",
            input_names=names,
            opset_version=17,
            dynamo=False,
            dynamic_axes=dict(zip(names, axes, strict=True)),
        )
        path = folder / f"deformable_attention_{family}_dynamo.onnx"
        options = {"input_names": names, "opset_version": 20, "dynamic_shapes": dims}
        export_dynamo(model, arguments, path, **options)


if __name__ == "__main__":
    main()
