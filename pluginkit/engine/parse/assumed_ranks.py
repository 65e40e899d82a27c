"""Ask about nodes behind a value of a refused node whose rank the model does not say.

No graph input can replace such a value. So it is assumed to have some rank, and what the parser
says of the nodes behind it holds under that assumption only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import onnx
import onnx.helper

from pluginkit.engine.parse.traceable_model import ELEM_TYPES, PrunedModel
from pluginkit.onnx.inference.element_types import dtype_of_elem_type

#: Ranks that are tried, the likeliest first.
_RANKS = (2, 3, 1, 4)


@dataclass(frozen=True)
class Assumption:
    """What the parser says of nodes if values have certain types.

    Attributes:
        text: which values have which types.
        taken: the nodes that it takes then.
        refused: why it refuses the others.
    """

    text: str = ""
    taken: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)


#: Parses the model and removes what is refused; returns the nodes that the parser takes, and why
#: it refuses the others.
AskParser = Callable[[], tuple[set[str], dict[str, str]]]


def ask_with_assumed_ranks(pruned: PrunedModel, ask: AskParser) -> Assumption:
    """Ask about the main graph's nodes that could not be asked about; leave the model as it was.

    Of several ranks that one counts with which the fewest nodes are refused.
    """
    best = Assumption()
    for rank in _RANKS:
        with_rank = _WithRank(pruned, rank)
        if not with_rank.names:
            return best
        taken, refused = ask()
        with_rank.undo()
        found = Assumption(
            with_rank.text,
            taken & with_rank.names,
            {name: reason for name, reason in refused.items() if name in with_rank.names},
        )
        if not best.text or len(found.taken) > len(best.taken):
            best = found
        if found.taken == with_rank.names:
            break
    return best


class _WithRank:
    """A pruned model with the nodes that could not be asked about, and inputs for what they read.

    Attributes:
        names: the nodes.
        text: what is assumed.
    """

    def __init__(self, pruned: PrunedModel, rank: int) -> None:
        self._pruned = pruned
        graph = pruned.model.graph
        self._nodes, self._inputs = [*graph.node], len(graph.input)
        self._removed, self._unasked = set(pruned.removed), set(pruned.unasked)
        self.names = {
            name
            for name in pruned.unasked
            if pruned.nodes[name][0].outer is None and self._reads_tensors(name)
        }
        values = dict(self._values(rank))
        types = {f"{dtype_of_elem_type(one.tensor_type.elem_type)}" for one in values.values()}
        listed = ", ".join(f"'{name}'" for name in values)
        self.text = f"if {listed}, whose rank the model does not say, is {'/'.join(sorted(types))} "
        self.text += f"of rank {rank}"
        made = {name for each in self.names for name in pruned.nodes[each][1].output}
        placeholders = [node for node in graph.node if node.name not in pruned.nodes]
        there = [node for node in placeholders if made.isdisjoint(node.output)]
        kept = {node.name: node for node in graph.node}
        for name, value_type in values.items():
            source = f"pluginkit_assumed_{len(there)}"
            graph.input.add(name=source, type=value_type)
            there.append(onnx.helper.make_node("Identity", [source], [name], name=source))
        for name, (scope, node) in pruned.nodes.items():
            if scope.outer is None and (name in kept or name in self.names):
                there.append(kept.get(name, node))
        _replace(graph, there)
        pruned.removed -= self.names
        pruned.unasked -= self.names

    def undo(self) -> None:
        """Put the model back."""
        graph = self._pruned.model.graph
        _replace(graph, self._nodes)
        del graph.input[self._inputs :]
        self._pruned.removed, self._pruned.unasked = self._removed, self._unasked

    def _reads_tensors(self, name: str) -> bool:
        """Whether a node reads no sequence: no graph input of TensorRT can be one."""
        scope, node = self._pruned.nodes[name]
        found = [self._pruned.types.find(scope, value) for value in node.input if value]
        return all(one is None or one.WhichOneof("value") == "tensor_type" for one in found)

    def _values(self, rank: int) -> Iterator[tuple[str, onnx.TypeProto]]:
        """Yield what the nodes read and no remaining node makes."""
        graph = self._pruned.model.graph
        known = {name for node in graph.node for name in node.output if name}
        known |= {value.name for value in (*graph.input, *graph.initializer)}
        for name, (_, node) in self._pruned.nodes.items():
            if name in self.names:
                known.update(node.output)
        for name, (scope, node) in self._pruned.nodes.items():
            for value in node.input if name in self.names else ():
                if value and value not in known:
                    known.add(value)
                    found = self._pruned.types.find(scope, value)
                    elem_type = 0 if found is None else found.tensor_type.elem_type
                    dims = [None] * rank
                    made = elem_type if elem_type in ELEM_TYPES else onnx.TensorProto.FLOAT
                    yield value, onnx.helper.make_tensor_type_proto(made, dims)


def _replace(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
