"""Export the models of test_fuse_chunked_scan.py with PyTorch's newer ONNX exporter.

    python -m tests.graph_rewrites.models.export_chunked_scan

needs torch, transformers, onnx and onnxscript. The older exporter writes a Transpose of it that
ONNX does not allow. The model is what transformers computes of Mamba 2's scan where it has no
kernels: products of matrices for chunks of the sequence, and a recurrence over the chunks, whose
last one is not whole.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn
from transformers.models.mamba2 import modeling_mamba2

from tests.graph_rewrites.models.dynamo_export import export_dynamo

ITEMS, LENGTH, HEADS, SIZE, GROUPS, STATES, CHUNK = 2, 7, 4, 3, 2, 5, 4


class Scan(nn.Module):
    """The scan with its skip connection and its last state."""

    def __init__(self):
        super().__init__()
        self.decay = nn.Parameter(torch.rand(HEADS))
        self.skip = nn.Parameter(torch.rand(HEADS))
        self.bias = nn.Parameter(torch.rand(HEADS))

    def forward(self, u, delta, b, c):
        return modeling_mamba2.mamba2_chunk_scan(
            *(u, delta, -torch.exp(self.decay), b, c, CHUNK, self.skip, self.bias),
            dt_softplus=True,
            return_final_states=True,
        )


def main() -> None:
    """Write chunked_scan_{fixed,any}_length.onnx next to this file."""
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    matrix = (ITEMS, LENGTH, GROUPS, STATES)
    shapes = (ITEMS, LENGTH, HEADS, SIZE), (ITEMS, LENGTH, HEADS), matrix, matrix
    arguments = tuple(torch.randn(shape) for shape in shapes)
    inputs, batch = ["u", "delta", "B", "C"], torch.export.Dim("batch")
    model = Scan().eval()
    length = torch.export.Dim("length", min=2, max=64)
    for name, axes in (("fixed", {0: batch}), ("any", {0: batch, 1: length})):
        path = Path(__file__).parent / f"chunked_scan_{name}_length.onnx"
        export_dynamo(
            model,
            arguments,
            path,
            input_names=inputs,
            output_names=["y", "state"],
            dynamic_shapes=(axes,) * len(inputs),
        )


if __name__ == "__main__":
    main()
