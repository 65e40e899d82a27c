"""Export the models of test_fuse_add_rms_norm.py with PyTorch's two ONNX exporters.

    python -m tests.graph_rewrites.models.export_rms_norm

needs torch, onnx and onnxscript. Each model is two decoder layers, their attention and MLP cut down
to a linear layer each, with the RMSNorm of one family: Llama's casts to float32 and back, then
multiplies by the weight; T5's casts twice; Gemma's multiplies by 1 + weight in float32 and casts
last; torch's own is torch.nn.RMSNorm. As in transformers, each sum of the residual stream feeds
both a norm and the next sum.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

from tests.graph_rewrites.models.dynamo_export import export_dynamo

SIZE = 16
EPSILON = 1e-5


class LlamaNorm(nn.Module):
    """As LlamaRMSNorm of transformers computes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(SIZE) + 0.5)

    def forward(self, hidden):
        wide = hidden.to(torch.float32)
        variance = wide.pow(2).mean(-1, keepdim=True)
        wide = wide * torch.rsqrt(variance + EPSILON)
        return self.weight * wide.to(hidden.dtype)


class T5Norm(LlamaNorm):
    """As T5LayerNorm computes."""

    def forward(self, hidden):
        variance = hidden.to(torch.float32).pow(2).mean(-1, keepdim=True)
        wide = hidden * torch.rsqrt(variance + EPSILON)
        if self.weight.dtype in (torch.float16, torch.bfloat16):
            wide = wide.to(self.weight.dtype)
        return self.weight * wide


class GemmaNorm(LlamaNorm):
    """As GemmaRMSNorm computes."""

    def forward(self, hidden):
        wide = hidden.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + EPSILON)
        return (wide * (1.0 + self.weight.float())).type_as(hidden)


class TorchNorm(nn.RMSNorm):
    """torch's own."""

    def __init__(self) -> None:
        super().__init__(SIZE, EPSILON)
        nn.init.uniform_(self.weight, 0.5, 1.5)


class Decoder(nn.Module):
    """Four sums, each with a norm of it, behind a first norm."""

    def __init__(self, norm: type[nn.Module]) -> None:
        super().__init__()
        self.first = norm()
        self.norms = nn.ModuleList(norm() for _ in range(4))
        self.linears = nn.ModuleList(nn.Linear(SIZE, SIZE, bias=False) for _ in range(4))

    def forward(self, hidden):
        residual, hidden = hidden, self.first(hidden)
        for linear, norm in zip(self.linears, self.norms, strict=True):
            residual = residual + linear(hidden)
            hidden = norm(residual)
        return hidden


NORMS = {"llama": LlamaNorm, "t5": T5Norm, "gemma": GemmaNorm, "torch": TorchNorm}


def main() -> None:
    """Write rms_norm_{family}_{exporter}.onnx next to this file."""
    folder = Path(__file__).parent
    warnings.simplefilter("ignore")
    for family, norm in NORMS.items():
        torch.manual_seed(0)
        model = Decoder(norm).to(torch.float16).eval()
        hidden = torch.randn(2, 3, SIZE, dtype=torch.float16)
        names = {"input_names": ["hidden"], "output_names": ["normalized"]}
        if norm is not TorchNorm:  # which the TorchScript exporter does not know
            torch.onnx.export(
                model,
                (hidden,),
                folder / f"rms_norm_{family}_ts.onnx",
                opset_version=17,
                dynamo=False,
                dynamic_axes={"hidden": {0: "batch", 1: "length"}},
                **names,
            )
        dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
        for opset in (18, 23):
            path = folder / f"rms_norm_{family}_dynamo{opset}.onnx"
            options = {"opset_version": opset, "dynamic_shapes": (dims,), **names}
            export_dynamo(model, (hidden,), path, **options)


if __name__ == "__main__":
    main()
