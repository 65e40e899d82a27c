"""Export a model with PyTorch's newer ONNX exporter into one small file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import torch


def export_dynamo(
    model: torch.nn.Module, arguments: tuple[Any, ...], path: Path, **options: Any
) -> None:
    """Write a model without stack traces, which are most of what the exporter writes.

    Args:
        model: what is exported.
        arguments: of its forward.
        path: the file.
        options: of torch.onnx.export.
    """
    torch.onnx.export(
        model, arguments, path, dynamo=True, external_data=False, verbose=False, **options
    )
    exported = onnx.load(path)
    for node in exported.graph.node:
        del node.metadata_props[:]
    onnx.save(exported, path)
