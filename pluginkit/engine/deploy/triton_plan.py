"""Build the plan of a Triton model repository, where this machine can."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.contract.plugin import Plugins
from pluginkit.current_work import scratch_prefix
from pluginkit.device.gpus import find_gpu
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.engine.build.build_options import BuildOptions
from pluginkit.onnx.inference.shape_ranges import ShapeSpec
from pluginkit.trt.flavour import installed_version, numbers
from pluginkit.trt.target import Target

if TYPE_CHECKING:
    from pluginkit.onnx.rewriting.rewrite import Rewrite
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice


def triton_plan(
    model_path: Path,
    shapes: Mapping[str, ShapeSpec],
    target: Target,
    *,
    plugins: Plugins | None = None,
    rewrites: Sequence[type[Rewrite]] | None = None,
    choice: RewriteChoice | None = None,
) -> bytes | None:
    """Return the plan, or None where this machine lacks a GPU or the target's TensorRT.

    Its plugins stay outside: Triton loads their library by itself.

    Args:
        model_path: the ONNX model.
        shapes: as for ``build_engine``.
        target: the TensorRT of the server.
        plugins: as for ``build_engine``.
        rewrites: as for ``build_engine``.
        choice: as for ``build_engine``.

    Errors:
        As for ``build_engine``.
    """
    here = numbers(installed_version("tensorrt") or "")
    if target.flavour != "tensorrt" or here[: len(target.version)] != target.version:
        return None
    if find_gpu() is None:
        return None
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("triton")) as scratch:
        result = build_engine(
            model_path,
            Path(scratch) / "model.plan",
            shapes=shapes,
            options=BuildOptions(flavour="tensorrt"),
            plugins=plugins,
            rewrites=rewrites,
            choice=choice,
        )
        return result.plan_path.read_bytes()
