"""Load models, and collect the verdicts of plugins, rewrites and the parser for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pluginkit.errors import PluginkitError, UsageError
from pluginkit.onnx.inference.shape_ranges import ShapeSpec
from pluginkit.onnx.model.model_file import load_model
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.view.graph_document import document_from_model
from pluginkit.view.model_diff import mark_differences
from pluginkit.view.node_status import (
    Verdicts,
    combine_verdicts,
    verdicts_from_plugins,
    verdicts_from_rewrites,
)

if TYPE_CHECKING:
    import onnx

    from pluginkit.onnx.model.plugin_nodes import Plugins
    from pluginkit.onnx.rewriting.rewrite import Rewrite


def draw_models(
    paths: Sequence[Path],
    *,
    rewrites: Sequence[type[Rewrite]],
    plugins: Plugins,
    choice: RewriteChoice = RewriteChoice(),
    shapes: Mapping[str, ShapeSpec] = MappingProxyType({}),
    parser: Callable[[Path, onnx.ModelProto], Verdicts] | None = None,
) -> list[dict[str, Any]]:
    """Return the documents of one model, or of two that are compared.

    Args:
        paths: one ONNX file, or two, before and after; their external data is not read.
        rewrites: the rewrites whose matches are marked.
        plugins: the plugins whose nodes are marked.
        choice: which rewrites apply, and for which TensorRT.
        shapes: the ranges of dynamic inputs, as for ``build_engine``.
        parser: returns the verdicts of TensorRT's parser; None for no verdicts of a parser.

    Errors:
        PK400 to PK408: a model cannot be read, or is invalid.  PK425: there is no such rewrite.
    """
    documents = []
    for path in paths:
        model = load_model(path)
        notes: list[str] = []
        sources: list[Verdicts] = [verdicts_from_plugins(model, plugins)]
        try:
            result = rewrite_model(model, rewrites, choice, plugins=plugins, shapes=shapes)
            sources.insert(0, verdicts_from_rewrites(model, result))
        except UsageError:  # a name that is no rewrite's
            raise
        except PluginkitError as error:
            notes.append(f"The rewrites were not tried to their end: {error.message}")
        if parser is not None:
            try:
                sources.insert(0, parser(path, model))
            except PluginkitError as error:
                notes.append(f"TensorRT was not asked: {error.message}")
        verdicts = combine_verdicts(*sources)
        documents.append(document_from_model(model, path.name, verdicts, notes))
    if len(documents) == 2:
        mark_differences(*documents)
    return documents
