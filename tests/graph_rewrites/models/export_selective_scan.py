"""Export the models of test_fuse_selective_scan.py with PyTorch's two ONNX exporters.

    python -m tests.graph_rewrites.models.export_selective_scan

needs torch, transformers, onnx and onnxscript. The model is what transformers computes of Mamba's
selective scan where it has no kernels, which both exporters unroll.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn
from transformers.models.mamba import modeling_mamba

from tests.graph_rewrites.models.dynamo_export import export_dynamo

ITEMS, CHANNELS, STATES, LENGTH = 2, 6, 4, 5


class Scan(nn.Module):
    """The scan with all that it may have."""

    def __init__(self):
        super().__init__()
        self.decay = nn.Parameter(torch.rand(CHANNELS, STATES))
        self.skip = nn.Parameter(torch.rand(CHANNELS))
        self.bias = nn.Parameter(torch.rand(CHANNELS))

    def forward(self, u, delta, b, c, z):
        scan = modeling_mamba.mamba_selective_scan
        b, c = b.transpose(1, 2), c.transpose(1, 2)
        return scan(u, delta, -torch.exp(self.decay), b, c, self.skip, z, self.bias, True, True)


def main() -> None:
    """Write selective_scan_{exporter}.onnx next to this file."""
    folder = Path(__file__).parent
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    along, matrix = (ITEMS, CHANNELS, LENGTH), (ITEMS, LENGTH, STATES)
    arguments = tuple(torch.randn(shape) for shape in (along, along, matrix, matrix, along))
    inputs, outputs = ["u", "delta", "B", "C", "z"], ["y", "state"]
    model = Scan()
    torch.onnx.export(
        model,
        arguments,
        folder / "selective_scan_ts.onnx",
        opset_version=17,
        dynamo=False,
        input_names=inputs,
        output_names=outputs,
        dynamic_axes={name: {0: "batch"} for name in inputs},
    )
    path = folder / "selective_scan_dynamo.onnx"
    export_dynamo(
        model,
        arguments,
        path,
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=({0: torch.export.Dim("batch")},) * len(inputs),
    )


if __name__ == "__main__":
    main()
