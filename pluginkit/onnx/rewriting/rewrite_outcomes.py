"""Record what a rewrite did with each match."""

from __future__ import annotations

from dataclasses import dataclass

from pluginkit.onnx.model.graphs import Place


@dataclass(frozen=True)
class _Outcome:
    rewrite: str
    where: str
    node: str
    output: str

    @property
    def place(self) -> Place:
        """The key that tells the node from all others of the model."""
        return self.where, self.node, self.output


@dataclass(frozen=True)
class AppliedRewrite(_Outcome):
    """One match that was rewritten.

    Attributes:
        rewrite: the name of the rewrite.
        where: the path of the graph.
        node: the name of the last matched node, or of its first output if it has no name.
        output: its first output; several nodes may have one name.
        made: the op_types of the new nodes, each once.
        note: what the user should know about it, in a sentence; "" for nothing.
    """

    made: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class RefusedRewrite(_Outcome):
    """One match, or one node that a pattern does not fit, that was left.

    Attributes:
        rewrite: the name of the rewrite.
        where, node, output: as in AppliedRewrite.
        reason: why it was left.
        gives_plugin: whether the rewrite would put a plugin there.
    """

    reason: str
    gives_plugin: bool = False
