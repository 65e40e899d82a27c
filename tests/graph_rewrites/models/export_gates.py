"""Export the models of test_fuse_rotary_embedding.py with PyTorch's two exporters.

    python -m tests.graph_rewrites.models.export_gates

needs torch, transformers, onnx and onnxscript. Each model is the MLP of a family and the rotation
of its queries and keys, of which Phi-3 rotates a part.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn
from transformers import LlamaConfig, Phi3Config
from transformers.models.llama import modeling_llama
from transformers.models.phi3 import modeling_phi3

from tests.graph_rewrites.models.dynamo_export import export_dynamo

SIZES = {"hidden_size": 8, "intermediate_size": 6, "num_attention_heads": 1, "pad_token_id": 0}
#: The MLP, and what rotates.
FAMILIES = {
    "llama": (modeling_llama.LlamaMLP(LlamaConfig(**SIZES)), modeling_llama.apply_rotary_pos_emb),
    "phi3": (modeling_phi3.Phi3MLP(Phi3Config(**SIZES)), modeling_phi3.apply_rotary_pos_emb),
}


class Layer(nn.Module):
    """The MLP and the rotation of a family."""

    def __init__(self, family: str) -> None:
        super().__init__()
        self.mlp, self.rotate = FAMILIES[family]

    def forward(self, x, query, key, cos, sin):
        return self.mlp(x), *self.rotate(query, key, cos, sin)


def main() -> None:
    """Write gates_{family}_{exporter}.onnx next to this file."""
    folder = Path(__file__).parent
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    inputs, outputs = ["x", "query", "key", "cos", "sin"], ["y", "q", "k"]
    for family, columns in (("llama", 8), ("phi3", 6)):
        heads, table = (2, 3, 5, 8), (2, 5, columns)
        shapes = (2, 5, 8), heads, (2, 1, 5, 8), table, table
        arguments = tuple(torch.randn(shape) for shape in shapes)
        model = Layer(family).eval()
        torch.onnx.export(
            model,
            arguments,
            folder / f"gates_{family}_ts.onnx",
            opset_version=17,
            dynamo=False,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in inputs},
        )
        path = folder / f"gates_{family}_dynamo.onnx"
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
