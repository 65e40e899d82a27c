"""What TensorRT takes of a model, what a rewrite covers, and what is left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from pluginkit.contract.plugin import Plugins
from pluginkit.engine.build.compute_capabilities import Capability
from pluginkit.engine.build.shape_ranges import ShapeSpec
from pluginkit.engine.parse.traceable_model import NodeId, node_ids, with_labels
from pluginkit.engine.scan.scan_session import Answer, ask
from pluginkit.engine.scan.scan_worker import Question
from pluginkit.isolation.class_location import location_of
from pluginkit.onnx.model.graphs import Place, names_read, scopes
from pluginkit.onnx.model.model_file import load_model
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
from pluginkit.trt.target import Target, installed_target

if TYPE_CHECKING:
    import onnx

    from pluginkit.contract.plugin import Plugin
    from pluginkit.onnx.rewriting.rewrite import Rewrite
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult
    from pluginkit.onnx.rewriting.rewrite_outcomes import AppliedRewrite

Status = Literal["native", "plugin", "rewritten", "refused", "unknown"]
STATUSES: tuple[Status, ...] = get_args(Status)

_UNASKED = (
    "it is inside a refused node, or reads a value of one for which no graph input can stand in."
)
_NOT_REACHED = "the parser does not come to it."


@dataclass(frozen=True)
class NodeReport:
    """What becomes of one node.

    Attributes:
        node: which one. Its scope's path and its position there are what it goes by, in the model
            that the report is of; its op_type, name and outputs find it again in another.
        status: ``"native"``: TensorRT takes it; ``"plugin"``: TensorRT takes it as a plugin;
            ``"rewritten"``: rewrites replace it; ``"refused"``: it is left, and TensorRT does not
            take it; ``"unknown"``: TensorRT could not be asked, see the reason.
        reason: what TensorRT says against it, of a rewritten node too; empty for nothing.
        stage: who says so: ``"parser"``, or ``"builder"`` for a node that parses and does not
            build; empty for nobody.
        rewrites: the rewrites that replace it, in order.
        made: the op_types that take its place.
    """

    node: NodeId
    status: Status
    reason: str = ""
    stage: Literal["", "parser", "builder"] = ""
    rewrites: tuple[str, ...] = ()
    made: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScanReport:
    """What TensorRT takes of a model.

    Attributes:
        model: the file.
        target: the TensorRT that was asked.
        before: each node of the model as it is.
        after: each node of the rewritten model; ``before`` where no rewrite applies.
        rewrite: what the rewrites did, with the rewritten model.
        problems: what TensorRT says of the rewritten model that is about no node.
        is_built: whether what the parser takes of the rewritten model was built as one; None where
            that was not asked for, or could not be tried; nodes are then built alone.
        build_note: why it could not be tried.
        seconds: how long it took.
    """

    model: Path
    target: Target
    before: tuple[NodeReport, ...]
    after: tuple[NodeReport, ...]
    rewrite: RewriteResult
    problems: tuple[str, ...]
    is_built: bool | None
    build_note: str
    seconds: float

    @property
    def left(self) -> tuple[NodeReport, ...]:
        """The nodes of the rewritten model that TensorRT does not take."""
        return tuple(one for one in self.after if one.status == "refused")

    @property
    def is_accepted(self) -> bool:
        """Whether nothing is left."""
        return not self.left and not self.problems

    def counts(self) -> dict[Status, int]:
        """How many nodes of the model as it is have each status."""
        found = Counter(one.status for one in self.before)
        return {status: found[status] for status in STATUSES}


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

    TensorRT works in a process of its own: what crashes it is a reason against a node. Plugins run
    there to give types and shapes; nothing of the model is ever executed.

    Args:
        model: the ONNX file; its external data is not read here.
        plugins: the plugins that may be used; all that are found unless given. They are imported
            again by the other process.
        rewrites: the rewrites that may be used; all that are found unless given.
        choice: which of the rewrites to apply.
        flavour: the TensorRT; the installed one unless given.
        build: whether to build what parses as well; what does not build is found by building nodes
            alone.
        shapes: the range of each dynamic input, for the build.
        compute_capabilities: what to build for; one is chosen unless given.

    Errors:
        PK4xx: the model is unreadable or invalid, or there is no such rewrite.
        PK200, PK550: there is no TensorRT with a parser.  PK222: the other process cannot import a
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
    result = rewrite_model(loaded, rewrites, choice=choice.for_target(target), plugins=found)

    def ask_about(asked: onnx.ModelProto, *, builds: bool) -> tuple[Answer, list[NodeReport]]:
        classes = _classes(asked, result.plugins)
        question = Question(
            flavour,
            path,
            tuple(map(location_of, classes)),
            builds,
            tuple(compute_capabilities),
            shapes or {},
        )
        answer = ask(question, asked)
        names = {plugin.spec.plugin_name for plugin in classes}
        return answer, _reports(asked, answer, names)

    answer, after = ask_about(result.model, builds=build)
    ids = node_ids(result.model)
    before = after
    if result.applied or ids != node_ids(loaded):
        _, before = ask_about(loaded, builds=False)
        before = _with_rewrites(loaded, before, after, result.applied)
    return ScanReport(
        path,
        target,
        tuple(before),
        tuple(after),
        result,
        tuple(with_labels(each, ids) for each in answer.findings.problems),
        answer.is_built,
        with_labels(answer.build_note, ids),
        time.perf_counter() - started,
    )


def _classes(model: onnx.ModelProto, plugins: Plugins) -> list[type[Plugin]]:
    """The plugins that the model needs."""
    from pluginkit.onnx.model.plugin_nodes import plugin_nodes

    return list(dict.fromkeys(type(plugin) for _, _, plugin in plugin_nodes(model, plugins)))


def _reports(model: onnx.ModelProto, answer: Answer, plugin_names: set[str]) -> list[NodeReport]:
    """What TensorRT says of each node of a model, of which some are plugin nodes."""
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
        return NodeReport(node, "unknown", _UNASKED if number in findings.unasked else _NOT_REACHED)

    return [report(number, node) for number, node in enumerate(ids)]


def _with_rewrites(
    model: onnx.ModelProto,
    before: Sequence[NodeReport],
    after: Sequence[NodeReport],
    applied: Sequence[AppliedRewrite],
) -> list[NodeReport]:
    """``before``, with what the rewrites did to each node, and what is said of it afterwards."""
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
        return replace(
            one,
            status="rewritten",
            rewrites=tuple(dict.fromkeys(each.rewrite for each in mine)),
            made=tuple(dict.fromkeys(made for each in mine for made in each.made)),
        )

    return [report(one) for one in before]


def _identity(node: NodeId) -> tuple[str, str, str, tuple[str, ...]]:
    """What a node keeps that no rewrite touches, while others around it come and go."""
    return node.where, node.op_type, node.domain, node.outputs


def _roots(
    model: onnx.ModelProto,
    before: Sequence[NodeReport],
    changes: Container[Place],
    remaining: Container[tuple[str, str, str, tuple[str, ...]]],
) -> dict[tuple[str, int], Place]:
    """Of each node that is gone, the one in whose rewrite it went; itself where that is unknown.

    A rewrite names the last node that it matches; the others give what that one reads.
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
