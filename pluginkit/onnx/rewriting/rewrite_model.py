"""Choose rewrites, apply them to a copy of a model, and check the result.

Authors see the matched nodes, and build new ones, with onnx-graphsurgeon. The model itself is
edited as a protobuf, because a whole import and export by graphsurgeon would drop what it does not
know (metadata, types of functions, unused and overridable initializers) and would copy initializers
of outer graphs into bodies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import onnx
import onnx.helper
from onnx_graphsurgeon.logger import G_LOGGER

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import RewriteError
from pluginkit.onnx.inference.annotations import correct_annotations
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.shape_ranges import ShapeSpec
from pluginkit.onnx.inference.stand_ins import import_onnx
from pluginkit.onnx.inference.validate_model import (
    check_rewritten,
    complete_value_info,
    refuse_contradictions,
    signature_of,
)
from pluginkit.onnx.model.external_data import store_external_constants
from pluginkit.onnx.model.graphs import scopes, sorted_nodes
from pluginkit.onnx.model.plugin_nodes import PluginKey, Plugins, complete_plugin_nodes
from pluginkit.onnx.model.weightless_model import skeleton_for_inference
from pluginkit.onnx.rewriting.empty_inputs import drop_last_empty_inputs
from pluginkit.onnx.rewriting.fixed_sizes import fix_sizes, given_extents, refuse_unfit_sizes
from pluginkit.onnx.rewriting.graph_rewrite import GraphRewrite
from pluginkit.onnx.rewriting.known_values import Extents
from pluginkit.onnx.rewriting.needed_inlining import inline_needed
from pluginkit.onnx.rewriting.passed_through import copy_passed_through
from pluginkit.onnx.rewriting.rewrite import Rewrite
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
from pluginkit.onnx.rewriting.rewrite_outcomes import AppliedRewrite, RefusedRewrite
from pluginkit.onnx.rewriting.rewrite_passes import RewritePasses
from pluginkit.onnx.rewriting.scope_edit import set_nodes
from pluginkit.onnx.rewriting.shadowed_initializers import drop_shadowed_initializers


@dataclass(frozen=True)
class RewriteResult:
    """A rewritten model.

    Attributes:
        model: the new model.
        applied: the rewritten matches, in order.
        refused: the matches that were left, each with the reason.
        retired: the rewrites left out because the target does not need them.
        opt_in: the rewrites left out because they are opt-in and were not named.
        plugins: the plugin classes of the rewrites and those given, by registry key.
        mismatched: with ``explain``, the nodes that have the operator of a pattern's last node but
            do not match, each with the reason.
        had_to_inline: whether local functions were inlined that TensorRT's parser would refuse or
            take for something else.
    """

    model: onnx.ModelProto
    applied: list[AppliedRewrite]
    refused: list[RefusedRewrite]
    retired: list[str]
    opt_in: list[str]
    plugins: dict[PluginKey, type[Plugin]]
    mismatched: list[RefusedRewrite] = field(default_factory=list)
    had_to_inline: bool = False

    @property
    def notes(self) -> list[str]:
        """What the user should know about the rewritten matches, each sentence once."""
        counts = Counter(each.note for each in self.applied if each.note)
        return [f"{note} ({count} node{'s' * (count > 1)})" for note, count in counts.items()]


def rewrite_model(
    model: onnx.ModelProto,
    rewrites: Sequence[type[Rewrite]] | None = None,
    choice: RewriteChoice = RewriteChoice(),
    *,
    plugins: Plugins | None = None,
    shapes: Mapping[str, ShapeSpec] = MappingProxyType({}),
    explain: bool = False,
    in_place: bool = False,
) -> RewriteResult:
    """Apply rewrites in order, until nothing changes.

    The main graph and every body of an If, Loop or Scan are rewritten. Local functions that hold a
    node to rewrite are inlined first, because their values have types only where they are called.
    Graph inputs and outputs keep their names and order, and their types unless no engine has such
    inputs and outputs; a dynamic dimension to which ``shapes`` gives one size gets it. What a model
    declares is corrected where its nodes say otherwise: an output gets the right shape, and stale
    types of values between nodes are removed. The outputs of every
    plugin node get a type, and a shape if it can be known.
    Plugin nodes that the model already has are written in the form that survives TensorRT's parser.
    External data is never read.

    Args:
        model: the model, which is not changed unless ``in_place``.
        rewrites: the rewrites; by default all that discovery finds.
        choice: which of them to apply.
        plugins: further plugin classes whose nodes the model may hold, by registry key.
        shapes: the ranges of dynamic inputs, as for ``build_engine``; what they decide holds in the
            new model for these sizes only.
        explain: whether to find out why patterns do not match (``RewriteResult.mismatched``).
        in_place: whether to change ``model`` itself, which saves the memory of a copy. After an
            error the model is unusable.

    Errors:
        PK425: the choice names a rewrite that does not exist.  PK500 to PK506: shapes.
        PK403, PK408: the model is invalid.
        PK421: a rewrite failed or returned something wrong.  PK422: a rewrite never ends.
        PK423, PK424: the result is invalid; the message names the node.
    """
    if rewrites is None:
        from pluginkit.onnx.rewriting.find_rewrites import find_rewrites

        rewrites = find_rewrites()
    chosen = choice.choose(rewrites)
    produced = [each.plugin for each in rewrites if each.plugin is not None]
    known = {plugin.spec.key: plugin for plugin in produced} | dict(plugins or {})
    result = model
    if not in_place:
        result = onnx.ModelProto()
        result.CopyFrom(model)
    extents = given_extents(result, shapes)
    had_to_inline = inline_needed(result, _looked_for(chosen.rewrites, known))
    complete_plugin_nodes(result, known)
    has_new_import = import_onnx(result)
    for scope in scopes(result):
        order = sorted_nodes(scope)
        if order is not None:
            set_nodes(scope, order)  # shape inference reads nodes once, in their order
    may_be_wrong = _repair(result, extents)
    signature = signature_of(result.graph)
    # With the sizes that are fixed, which a branch that is never taken may not fit.
    original = skeleton_for_inference(result) if in_place or shapes else model
    types = infer_types(result)
    passes = RewritePasses(result, types, known, extents=extents, explain=explain)
    try:
        with G_LOGGER.suppress(G_LOGGER.ERROR):
            passes.to_fixed_point([rewrite() for rewrite in chosen.rewrites])
    except RewriteError as error:
        refuse_contradictions(original, error)
        raise
    applied, refused, mismatched = passes.applied, passes.refused, passes.mismatched
    if has_new_import and not applied:
        del result.opset_import[-1]
    if applied:
        # From IR version 4 on a new initializer need not be a graph input.
        result.ir_version = max(result.ir_version, 4)
        if may_be_wrong and signature == signature_of(result.graph):
            correct_annotations(result)  # more follows from the nodes that are there now
            signature = signature_of(result.graph)
        try:
            complete_value_info(result, passes.types, known)
        except RewriteError as error:
            refuse_contradictions(original, error)
            raise
        del passes  # the checker needs the memory
        try:
            check_rewritten(signature, original, result)
        except RewriteError as error:
            refuse_unfit_sizes(extents, error)
            raise
    elif not in_place and not had_to_inline and len(result.functions) < len(model.functions):
        result.CopyFrom(model)  # no function had to be inlined after all
        given_extents(result, shapes)  # names its dimensions again
        _repair(result, extents)
    return RewriteResult(
        result, applied, refused, chosen.retired, chosen.opt_in, known, mismatched, had_to_inline
    )


def _repair(model: onnx.ModelProto, extents: Extents) -> bool:
    """Mend what TensorRT and ONNX Runtime do not mind, and ONNX does; fix what has one size.

    Returns:
        Whether declarations are left that may be wrong.
    """
    store_external_constants(model)
    drop_last_empty_inputs(model)
    drop_shadowed_initializers(model)
    fix_sizes(model, extents)
    may_be_wrong = correct_annotations(model)
    copy_passed_through(model)
    return may_be_wrong


def _looked_for(rewrites: Sequence[type[Rewrite]], plugins: Plugins) -> set[str]:
    """Return the operators that rewrites look for, and those of plugins."""
    found = {name for name, _, _ in plugins}
    for rewrite in rewrites:
        if not issubclass(rewrite, GraphRewrite):
            found.update(rewrite.op.op_types)
    return found
