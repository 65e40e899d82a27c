"""Chooses rewrites, applies them to a model, and proves the result.

onnx-graphsurgeon gives authors the matched nodes and takes their new ones. The model around them
stays protobuf and is edited in place in a copy: an import and export of all of it would drop what
graphsurgeon does not know (metadata, functions' types, unused and overridable initializers) and
copy outer initializers into bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import onnx
from onnx_graphsurgeon.logger import G_LOGGER

from pluginkit.contract.plugin import Plugin
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.validate_model import (
    check_rewritten,
    complete_value_info,
    signature_of,
)
from pluginkit.onnx.model.graphs import scopes, sorted_nodes
from pluginkit.onnx.model.plugin_nodes import PluginKey, Plugins, complete_plugin_nodes
from pluginkit.onnx.model.weightless_model import skeleton_for_checker
from pluginkit.onnx.rewriting.edit_model import set_nodes
from pluginkit.onnx.rewriting.rewrite import Rewrite
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
from pluginkit.onnx.rewriting.rewrite_passes import Applied, Passes, Refused


@dataclass(frozen=True)
class RewriteResult:
    """A rewritten model.

    Attributes:
        model: the new model.
        applied: what was rewritten, in order.
        refused: what matched and was left, with the reason.
        retired: the rewrites that were left out because the target needs them no more.
        opt_in: the rewrites that were left out because they are opt-in and were not named.
        plugins: the plugin classes that the rewrites may produce and those given, by registry key.
        mismatched: the nodes that a pattern could end with and does not fit, with the reason, when
            asked to explain.
    """

    model: onnx.ModelProto
    applied: list[Applied]
    refused: list[Refused]
    retired: list[str]
    opt_in: list[str]
    plugins: dict[PluginKey, type[Plugin]]
    mismatched: list[Refused] = field(default_factory=list)


def rewrite_model(
    model: onnx.ModelProto,
    rewrites: Sequence[type[Rewrite]] | None = None,
    choice: RewriteChoice = RewriteChoice(),
    *,
    plugins: Plugins | None = None,
    explain: bool = False,
    in_place: bool = False,
) -> RewriteResult:
    """Apply rewrites, in order and until nothing changes.

    They reach the main graph, every If, Loop and Scan body and every local function. Graph inputs
    and outputs keep their names, types and order; every plugin node's outputs get a type and, where
    it can be known, a shape. Plugin nodes that were there before keep their meaning, in the form
    that survives TensorRT's parser. No external data is read.

    Args:
        model: left unchanged, unless ``in_place``.
        rewrites: the rewrites; all that discovery finds when None.
        choice: which of them to apply.
        plugins: further plugin classes whose nodes the model may hold, by registry key.
        explain: whether to find out, of each node that a pattern could end with, why the pattern
            does not fit.
        in_place: whether to change ``model`` itself, which saves the memory of a copy; after an
            error it is of no use.

    Errors:
        PK425: the choice names a rewrite that does not exist.
        PK403, PK408: the model is invalid.
        PK421: a rewrite returned something wrong.  PK422: a rewrite never ends.
        PK423, PK424: the result is invalid; the message names the node.
    """
    if rewrites is None:
        from pluginkit.onnx.rewriting.find_rewrites import find_rewrites

        rewrites = find_rewrites()
    chosen = choice.choose(rewrites)
    produced = [each.plugin for each in rewrites if each.plugin is not None]
    known = {plugin.spec.key: plugin for plugin in produced} | dict(plugins or {})
    signature = signature_of(model.graph)
    if in_place:
        result, model = model, skeleton_for_checker(model)
    else:
        result = onnx.ModelProto()
        result.CopyFrom(model)
    for scope in scopes(result):
        order = sorted_nodes(scope)
        if order is not None:
            set_nodes(scope, order)
    complete_plugin_nodes(result, known)
    passes = Passes(result, infer_types(result), known, explain=explain)
    with G_LOGGER.suppress(G_LOGGER.ERROR):
        passes.to_fixed_point([rewrite() for rewrite in chosen.rewrites])
    applied, refused, mismatched = passes.applied, passes.refused, passes.mismatched
    if applied:
        complete_value_info(result, passes.types, known)
        del passes  # the checker needs the memory
        check_rewritten(signature, model, result)
    return RewriteResult(result, applied, refused, chosen.retired, chosen.opt_in, known, mismatched)
