"""Collect a verdict on each node: whether TensorRT supports it, and if not, why.

Each source returns its Verdicts by the path of a node's scope and its position there. The page does
not know the sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit.engine.parse.parse_model import new_plugin_command
from pluginkit.onnx.model.graphs import Place, place_of, scopes

if TYPE_CHECKING:
    import onnx

    from pluginkit.engine.scan.scan_report import NodeStatus, ScanReport
    from pluginkit.onnx.model.plugin_nodes import Plugins
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult

#: In the order of the legend.
STATUSES: tuple[NodeStatus, ...] = ("refused", "rewritten", "plugin", "native", "unknown")


@dataclass(frozen=True)
class Verdict:
    """The verdict on one node.

    Attributes:
        status: ``"refused"`` if TensorRT's parser refuses it and no rewrite helps; ``"rewritten"``
            if a rewrite replaces it; ``"plugin"`` for a plugin node; ``"native"`` if the parser
            accepts it; ``"unknown"`` if no source has a verdict.
        reason: the reason, one sentence a line; may be empty.
        next_step: the command that starts a plugin for a refused node; may be empty.
    """

    status: NodeStatus
    reason: str = ""
    next_step: str = ""


#: The verdict on each node by (path of its scope, position in it); a missing node is unknown.
Verdicts = Mapping[tuple[str, int], Verdict]

#: Statuses by precedence, for nodes with several verdicts: a refused node that a rewrite replaces
#: counts as rewritten, and a plugin node that the parser does not know counts as plugin.
_WORD: tuple[NodeStatus, ...] = ("plugin", "rewritten", "refused", "native", "unknown")


def combine_verdicts(*sources: Verdicts) -> dict[tuple[str, int], Verdict]:
    """Merge the verdicts of several sources into one for each node, reasons in their order."""
    found: dict[tuple[str, int], list[Verdict]] = {}
    for source in sources:
        for place, verdict in source.items():
            found.setdefault(place, []).append(verdict)
    merged = {}
    for place, verdicts in found.items():
        status = min((each.status for each in verdicts), key=_WORD.index)
        reason = "\n".join(each.reason for each in verdicts if each.reason)
        steps = [each.next_step for each in verdicts if each.next_step and status == "refused"]
        merged[place] = Verdict(status, reason, "".join(steps[:1]))
    return merged


def verdicts_from_plugins(
    model: onnx.ModelProto, plugins: Plugins
) -> dict[tuple[str, int], Verdict]:
    """Return a verdict on each plugin node, by the known plugins."""
    classes = {name: plugin for (name, _, _), plugin in plugins.items()}
    return {
        (scope.path, position): Verdict(
            "plugin", f"The plugin {classes[node.op_type].__name__} runs it."
        )
        for scope in scopes(model)
        for position, node in enumerate(scope.graph.node)
        if node.op_type in classes
    }


def verdicts_from_rewrites(
    model: onnx.ModelProto, result: RewriteResult
) -> dict[tuple[str, int], Verdict]:
    """Return a verdict on each node of ``model`` that a rewrite replaces, or matches but refuses.

    Args:
        model: the original model.
        result: the result of rewrite_model.
    """
    reasons: dict[Place, list[str]] = {}
    replaced = {one.place for one in result.applied}
    for applied in result.applied:
        text = f"{applied.rewrite} puts {', '.join(applied.made) or 'nothing'} in its place."
        reasons.setdefault(applied.place, []).append(text)
    for refused in result.refused:
        text = f"{refused.rewrite} leaves it: {refused.reason}"
        reasons.setdefault(refused.place, []).append(text)
    return {
        (scope.path, position): Verdict(
            "rewritten" if place in replaced else "unknown", "\n".join(reasons[place])
        )
        for scope in scopes(model)
        for position, node in enumerate(scope.graph.node)
        if (place := place_of(scope, node)) in reasons
    }


def verdicts_from_scan(report: ScanReport) -> dict[tuple[str, int], Verdict]:
    """Return TensorRT's verdict on each node of the unchanged model.

    A node that only the builder refuses needs no plugin; the reason says what to do instead.
    """
    return {
        (one.node.where, one.node.position): Verdict(
            "rewritten" if one.status == "folded" else one.status,
            one.reason,
            new_plugin_command(one.node.op_type, one.node.domain, report.model, one.node.label)
            if one.stage == "parser" and one.status == "refused"
            else "",
        )
        for one in report.before
    }
