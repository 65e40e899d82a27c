"""Export the plugins of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.contract.plugin import Plugins
from pluginkit.engine.build.shape_ranges import ShapeSpec
from pluginkit.export.export_library import ExportOptions, ExportResult, export_library
from pluginkit.export.variant import Variant

if TYPE_CHECKING:
    from pluginkit.onnx.rewriting.rewrite import Rewrite
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice


def export_model(
    model_path: str | Path,
    folder: str | Path,
    options: ExportOptions = ExportOptions(),
    *,
    shapes: Mapping[str, ShapeSpec] | None = None,
    plugins: Plugins | None = None,
    rewrites: Sequence[type[Rewrite]] | None = None,
    choice: RewriteChoice | None = None,
) -> ExportResult:
    """Write the library of a model's plugins, for its nodes, types, attributes and profiles.

    Args:
        model_path: the ONNX model; it is rewritten first, as ``build_engine`` does.
        folder: where the library goes.
        options: what it is made for.
        shapes: as for ``build_engine``.
        plugins: the plugins that may be used; by default all that are found.
        rewrites: the rewrites that may be used; by default all that are found.
        choice: which of the rewrites to apply.

    Errors:
        PK4xx: the model.  PK808: a type does not follow from the model; otherwise as for
        ``export_library``.
    """
    path = Path(model_path)
    variants = variants_of_model(path, shapes or {}, plugins, rewrites, choice)
    return export_library(variants, Path(folder), library_name(path), options)


def library_name(model_path: Path) -> str:
    """``model_plugins`` for ``model.onnx``."""
    return f"{model_path.name.removesuffix('.onnx')}_plugins"


def variants_of_model(
    path: Path,
    shapes: Mapping[str, ShapeSpec],
    plugins: Plugins | None,
    rewrites: Sequence[type[Rewrite]] | None,
    choice: RewriteChoice | None,
) -> list[Variant]:
    """The calls that a model's plugins can make, after its rewriting."""
    from pluginkit.discovery import find_plugins
    from pluginkit.engine.export.named_ranges import named_ranges
    from pluginkit.export.model_variants import model_variants
    from pluginkit.onnx.model.model_file import load_model
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
    from pluginkit.onnx.rewriting.rewrite_model import rewrite_model

    found = find_plugins() if plugins is None else plugins
    result = rewrite_model(
        load_model(path), rewrites, choice or RewriteChoice(), plugins=found, in_place=True
    )
    ranges = named_ranges(result.model, shapes)
    return model_variants(result.model, result.plugins, ranges)
