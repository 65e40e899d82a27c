"""Find out what TensorRT takes of a model, what rewrites replace, and what is left."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.contract.plugin import Plugins
from pluginkit.engine.build.builder_words import complaint_in
from pluginkit.engine.build.compute_capabilities import Capability
from pluginkit.engine.parse.known_failures import KnownFailure, known_failures
from pluginkit.engine.parse.traceable_model import NodeId, node_ids, with_labels
from pluginkit.engine.scan.scan_report import NodeReport, NodeStatus, ScanReport
from pluginkit.engine.scan.scan_session import ScanAnswer, ask
from pluginkit.engine.scan.scan_worker import ScanQuestion
from pluginkit.isolation.class_location import location_of
from pluginkit.onnx.inference.shape_ranges import ShapeSpec
from pluginkit.onnx.model.graphs import Place, names_read, scopes
from pluginkit.onnx.model.model_file import load_model
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
from pluginkit.trt.target import Target, installed_target

if TYPE_CHECKING:
    import onnx

    from pluginkit.onnx.rewriting.rewrite import Rewrite
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult
    from pluginkit.onnx.rewriting.rewrite_outcomes import AppliedRewrite

_UNASKED = "it is inside a refused node, or reads a value of one that no graph input can replace."
_NOT_REACHED = "the parser does not reach it."


def scan(
    model: str | Path,
    *,
    plugins: Plugins | None = None,
    rewrites: Sequence[type[Rewrite]] | None = None,
    choice: RewriteChoice = RewriteChoice(),
    flavour: str | None = None,
    build: bool = False,
    shapes: Mapping[str, ShapeSpec] | None = None,
    compute_capabilities: Sequence[Capability] = (),
) -> ScanReport:
    """Ask TensorRT what it takes of a model, before and after the rewrites.

    TensorRT works in a child process, so that a crash is just a reason against a node. Plugins run
    there to give types and shapes; no node of the model is executed.

    Args:
        model: the ONNX file; pluginkit never reads its external data.
        plugins: the plugins that may be used; by default all that are found. The child process
            imports them again.
        rewrites: the rewrites that may be used; by default all that are found.
        choice: which of the rewrites to apply.
        flavour: the TensorRT; by default the installed one.
        build: whether to build what parses as well. If that fails, models of one node are built to
            find the nodes that do not build.
        shapes: the range of each dynamic input, for the build and for what the rewrites know.
        compute_capabilities: the GPUs to build for; by default one is chosen.

    Errors:
        PK4xx: the model is unreadable or invalid, or there is no such rewrite.
        PK200, PK550: there is no TensorRT with a parser.  PK222: the child process cannot import a
            plugin.  PK511, PK512: it cannot build here.
    """
    from pluginkit.discovery import find_plugins
    from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
    from pluginkit.trt.flavour import load_flavour

    started = time.perf_counter()
    path = Path(model)
    loaded = load_model(path)
    target = installed_target(flavour) or Target(load_flavour(flavour).name)
    found = find_plugins() if plugins is None else plugins
    choice = choice.for_target(target)
    result = rewrite_model(loaded, rewrites, choice, plugins=found, shapes=shapes or {})
    question = ScanQuestion(flavour, path, (), build, tuple(compute_capabilities), shapes or {})
    answer, before, after = _ask_twice(question, loaded, result, target)
    ids = node_ids(result.model)
    problems = tuple(
        _explained(with_labels(each, ids), result) for each in answer.findings.problems
    )
    note = with_labels(answer.build_note, ids)
    seconds = time.perf_counter() - started
    return ScanReport(path, target, before, after, result, problems, answer.is_built, note, seconds)


def _explained(problem: str, result: RewriteResult) -> str:
    """Return a message of TensorRT's about no node, and what it means."""
    found = complaint_in(problem, result.model, result.plugins)
    if found is None:
        return problem
    where = f"This may be about {found.where}." if found.where else ""
    fix = f"What helps: {found.fix}" if found.fix else ""
    return "\n".join(filter(None, (problem, where, found.cause, fix)))


def _with_meaning(report: NodeReport, model: onnx.ModelProto, plugins: Plugins) -> NodeReport:
    """Return the report; if the builder fails on its node, with what that means and what helps."""
    if report.stage != "builder":
        return report
    found = complaint_in(report.reason, model, plugins)
    if found is None or not found.cause:
        return report
    return replace(
        report, reason=f"{found.cause}\nWhat helps: {found.fix}\nTensorRT said: {report.reason}"
    )


def _ask_twice(
    question: ScanQuestion, original: onnx.ModelProto, rewrite: RewriteResult, target: Target
) -> tuple[ScanAnswer, tuple[NodeReport, ...], tuple[NodeReport, ...]]:
    """Return the answer about the rewritten model, and the nodes before and after the rewrites."""
    answer, after = _ask(question, rewrite.model, rewrite.plugins)
    after = [_with_meaning(one, rewrite.model, rewrite.plugins) for one in after]
    known = known_failures(rewrite.model, rewrite.plugins, target.flavour)
    after = _with_known_failures(after, {(one.where, one.position): one for one in known})
    before = after
    if rewrite.applied or node_ids(rewrite.model) != node_ids(original):
        _, before = _ask(replace(question, builds=False), original, rewrite.plugins)
        before = _with_rewrites(original, before, after, rewrite.applied)
    return answer, tuple(before), tuple(after)


def _with_known_failures(
    reports: Sequence[NodeReport], known: Mapping[tuple[str, int], KnownFailure]
) -> list[NodeReport]:
    """Return the reports; what is known not to build is refused, unless a build has said more."""

    def report(one: NodeReport) -> NodeReport:
        failure = known.get((one.node.where, one.node.position))
        is_open = one.status in ("native", "plugin", "refused") and one.stage != "builder"
        if failure is None or not is_open:
            return one
        return replace(
            one,
            status="refused",
            reason=failure.reason,
            stage=one.stage or "builder",
            is_beyond_plugins=failure.is_beyond_plugins,
        )

    return [report(one) for one in reports]


def _ask(
    question: ScanQuestion, model: onnx.ModelProto, plugins: Plugins
) -> tuple[ScanAnswer, list[NodeReport]]:
    """Ask TensorRT about a model, and return its answer as a whole and for each node."""
    from pluginkit.onnx.model.plugin_nodes import plugin_nodes

    classes = dict.fromkeys(type(plugin) for _, _, plugin in plugin_nodes(model, plugins))
    answer = ask(replace(question, plugins=tuple(map(location_of, classes))), model)
    return answer, _reports(model, answer, {plugin.spec.plugin_name for plugin in classes})


def _reports(
    model: onnx.ModelProto, answer: ScanAnswer, plugin_names: set[str]
) -> list[NodeReport]:
    """Return TensorRT's answer for each node of a model."""
    findings, ids = answer.findings, node_ids(model)

    def report(number: int, node: NodeId) -> NodeReport:
        reasons = findings.reasons.get(number)
        if reasons is not None:
            return NodeReport(node, "refused", with_labels("\n".join(reasons), ids), "parser")
        if number in answer.unbuildable:
            reason = with_labels(answer.unbuildable[number], ids)
            return NodeReport(node, "refused", reason, "builder")
        if number in findings.taken:
            return NodeReport(node, "plugin" if node.op_type in plugin_names else "native")
        if number in findings.taken_if:
            status: NodeStatus = "plugin" if node.op_type in plugin_names else "native"
            return NodeReport(node, status, with_labels(findings.taken_if[number], ids))
        if number in findings.refused_if:
            reason = with_labels(findings.refused_if[number], ids)
            return NodeReport(node, "unknown", f"TensorRT refuses it {reason}")
        return NodeReport(node, "unknown", _UNASKED if number in findings.unasked else _NOT_REACHED)

    return [report(number, node) for number, node in enumerate(ids)]


def _with_rewrites(
    model: onnx.ModelProto,
    before: Sequence[NodeReport],
    after: Sequence[NodeReport],
    applied: Sequence[AppliedRewrite],
) -> list[NodeReport]:
    """Return ``before`` with what the rewrites did to each node and TensorRT's later answer."""
    changes: dict[Place, list[AppliedRewrite]] = {}
    for one in applied:
        changes.setdefault(one.place, []).append(one)
    remaining = {_identity(one.node): one for one in after}
    roots = _roots(model, before, changes, remaining)

    def report(one: NodeReport) -> NodeReport:
        root = roots.get((one.node.where, one.node.position))
        if root is None:
            same = remaining[_identity(one.node)]
            return replace(same, node=one.node)
        mine = changes.get(root, ())
        made = tuple(dict.fromkeys(made for each in mine for made in each.made))
        is_folded = one.status == "native" and bool(mine) and set(made) <= {"Constant"}
        status: NodeStatus = "folded" if is_folded else "rewritten"
        rewrites = tuple(dict.fromkeys(each.rewrite for each in mine))
        return replace(one, status=status, rewrites=rewrites, made=made)

    return [report(one) for one in before]


def _identity(node: NodeId) -> tuple[str, str, str, tuple[str, ...]]:
    """Return what identifies a node before and after rewrites that do not touch it."""
    return node.where, node.op_type, node.domain, node.outputs


def _roots(
    model: onnx.ModelProto,
    before: Sequence[NodeReport],
    changes: Container[Place],
    remaining: Container[tuple[str, str, str, tuple[str, ...]]],
) -> dict[tuple[str, int], Place]:
    """Map each removed node to the node whose rewrite removed it; to itself if unknown.

    A rewrite names the last node of its match; the other nodes produce what that one reads.
    """
    roots: dict[tuple[str, int], Place] = {}
    gone = {}
    for one in before:
        at, key = (one.node.where, one.node.position), one.node.place
        if key in changes:
            roots[at] = key
        elif _identity(one.node) not in remaining:
            gone[at] = roots[at] = key
    for scope in scopes(model) if gone else ():
        readers: dict[str, int] = {}
        for position, node in reversed([*enumerate(scope.graph.node)]):
            reader = next((readers[name] for name in node.output if name in readers), None)
            if (scope.path, position) in gone and reader is not None:
                roots[scope.path, position] = roots[scope.path, reader]
            if (scope.path, position) in roots:
                readers.update(dict.fromkeys(names_read(node), position))
    return roots
