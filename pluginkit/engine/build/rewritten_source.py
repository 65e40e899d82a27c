"""Rewrite a model for an engine, and put the precision that is asked for into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.contract.plugin import Plugins
from pluginkit.onnx.inference.shape_ranges import ShapeSpec
from pluginkit.trt.target import Target

if TYPE_CHECKING:
    from pluginkit.onnx.precision.precision_options import Precision, PrecisionReport, Quantization
    from pluginkit.onnx.rewriting.rewrite import Rewrite
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult


def rewritten_source(
    path: Path,
    shapes: Mapping[str, ShapeSpec],
    target: Target | None,
    precision: Precision | Quantization | None = None,
    *,
    plugins: Plugins | None,
    rewrites: Sequence[type[Rewrite]] | None,
    choice: RewriteChoice | None,
) -> tuple[RewriteResult, PrecisionReport | None]:
    """Return what the rewrites and the precision did to a model; arguments as of a build."""
    from pluginkit.discovery import find_plugins
    from pluginkit.onnx.model.model_file import load_model
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
    from pluginkit.onnx.rewriting.rewrite_model import rewrite_model

    wanted = (choice or RewriteChoice()).for_target(target)
    found = find_plugins() if plugins is None else plugins
    model = load_model(path)
    result = rewrite_model(model, rewrites, wanted, plugins=found, shapes=shapes, in_place=True)
    if precision is None:
        return result, None
    from pluginkit.onnx.precision.apply_precision import apply_precision

    return result, apply_precision(result.model, precision, result.plugins, path.parent)
