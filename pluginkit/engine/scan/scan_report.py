"""Say what TensorRT and the rewrites do with each node of a model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from pluginkit.engine.parse.traceable_model import NodeId
from pluginkit.trt.target import Target

if TYPE_CHECKING:
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult

NodeStatus = Literal["native", "plugin", "folded", "rewritten", "refused", "unknown"]
NODE_STATUSES: tuple[NodeStatus, ...] = get_args(NodeStatus)


@dataclass(frozen=True)
class NodeReport:
    """What TensorRT and the rewrites do with one node.

    Attributes:
        node: the node. Path and position identify it in the model of this report; op_type, name and
            outputs find it in another model.
        status: ``"native"``: TensorRT takes it; ``"plugin"``: TensorRT takes it as a plugin;
            ``"folded"``: TensorRT takes it, and rewrites store its value or take an equal node's;
            ``"rewritten"``: rewrites replace it; ``"refused"``: TensorRT refuses it and no rewrite
            replaces it; ``"unknown"``: TensorRT could not be asked, see the reason.
        reason: why TensorRT refuses it, also for a rewritten node; under which assumption it takes
            it, where it cannot be asked otherwise; else empty.
        stage: who refuses it: ``"parser"``, or ``"builder"`` for a node that parses and does not
            build; else empty.
        rewrites: the rewrites that replace it, in order.
        made: the op_types of the nodes that replace it.
        is_beyond_plugins: whether no plugin could take a refused node either.
    """

    node: NodeId
    status: NodeStatus
    reason: str = ""
    stage: Literal["", "parser", "builder"] = ""
    rewrites: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    is_beyond_plugins: bool = False


@dataclass(frozen=True)
class ScanReport:
    """What TensorRT takes of a model.

    Attributes:
        model: the file.
        target: the TensorRT that was asked.
        before: each node of the original model.
        after: each node of the rewritten model; ``before`` if no rewrite applies.
        rewrite: what the rewrites did, with the rewritten model.
        problems: TensorRT's messages about the rewritten model that are about no node.
        is_built: whether TensorRT built what its parser takes of the rewritten model; None if that
            was not asked for, or could not be tried and only models of one node were built.
        build_note: why it could not be tried.
        seconds: the duration.
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
        """The nodes of the rewritten model that TensorRT refuses."""
        return tuple(one for one in self.after if one.status == "refused")

    @property
    def is_accepted(self) -> bool:
        """Whether nothing is left."""
        return not self.left and not self.problems

    def counts(self) -> dict[NodeStatus, int]:
        """Return how many nodes of the original model have each status."""
        found = Counter(one.status for one in self.before)
        return {status: found[status] for status in NODE_STATUSES}
