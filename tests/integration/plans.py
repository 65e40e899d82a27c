"""Plans that tests build of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from pluginkit import BuildOptions
from pluginkit.engine import build_engine
from pluginkit.onnx.rewriting.rewrite import Rewrite


def size_of_plan(
    model: onnx.ModelProto,
    rewrites: Sequence[type[Rewrite]],
    folder: Path,
    shapes: Mapping[str, str] | None = None,
) -> int:
    """The bytes of the plan that TensorRT-RTX builds of the model, rewritten, without plugins."""
    path = folder / "model.onnx"
    onnx.save(model, path)
    result = build_engine(
        path,
        options=BuildOptions(compute_capabilities=[(8, 9)], flavour="tensorrt_rtx"),
        plugins={},
        rewrites=rewrites,
        shapes=shapes,
    )
    return result.plan_path.stat().st_size
