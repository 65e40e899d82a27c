"""Find every node that TensorRT's ONNX parser refuses in a model.

The parser stops at the first node that it cannot import, and often does not say which one it is. So
the model is parsed again and again. Each time the refused nodes are replaced by graph inputs of the
types of their outputs, until the parser takes the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import onnx

from pluginkit.engine.parse.assumed_ranks import ask_with_assumed_ranks
from pluginkit.engine.parse.foreign_operators import foreign_operators
from pluginkit.engine.parse.parser_log import Parsed, ParserError, parse_logged
from pluginkit.engine.parse.single_node_model import Signatures
from pluginkit.engine.parse.traceable_model import PrunedModel, number_of, set_numbers
from pluginkit.errors import ModelError
from pluginkit.onnx.model.graphs import scopes
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.flavour import Flavour

#: Reasons by the name of the node in a numbered model.
Reasons = Mapping[str, str]
_NONE: Reasons = MappingProxyType({})


@dataclass
class ParserFindings:
    """The parser's answers about a model. A node's number is its index in ``node_ids``.

    Attributes:
        reasons: why it refuses a node, by the node's number.
        taken: the numbers of the nodes that it takes.
        unasked: the numbers of the nodes that it could not be asked about: they are inside a
            refused node, or read a value of one that no graph input can replace.
        taken_if, refused_if: what it says of unasked nodes if a value has a certain rank: the
            assumption, and why it refuses the node.
        problems: messages that are about no node.

    The parser never reached a node that is in none of these: the node is in the branch of an If
    that a constant excludes, in a function that nothing calls, or after a problem.
    """

    reasons: dict[int, list[str]] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    unasked: set[int] = field(default_factory=set)
    taken_if: dict[int, str] = field(default_factory=dict)
    refused_if: dict[int, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def refuse(self, number: int, reason: str) -> None:
        """Add a reason against a node."""
        known = self.reasons.setdefault(number, [])
        if reason not in known:
            known.append(reason)


@dataclass(frozen=True)
class SearchObserver:
    """What the search calls to report progress, in case the parser crashes.

    Attributes:
        on_node: told of each node that the parser begins with.
        on_refusal: told of each refused node, and why.
    """

    on_node: Callable[[str], None] = lambda _: None
    on_refusal: Callable[[str, str], None] = lambda _, __: None


def find_refusals(
    flavour: Flavour,
    model: onnx.ModelProto,
    model_path: Path,
    *,
    known: Reasons = _NONE,
    asks_plugins: bool = True,
    observer: SearchObserver | None = None,
) -> tuple[ParserFindings, PrunedModel | None]:
    """Parse a model until the parser takes the rest of it.

    Nodes alike to a refused one, see ``Signatures``, are refused with it for the same reason.

    Args:
        flavour: the TensorRT, bound to Polygraphy.
        model: the model; it is changed, and its nodes get numbers for names.
        model_path: the model's file, whose folder has the external data.
        known: reasons against nodes that the parser cannot give because it crashes, by the names
            that the observer was told.
        asks_plugins: False removes the nodes of domains other than ONNX's, so that no plugin runs.
        observer: told of progress.

    Returns:
        The findings, and the rest of the model; None if the parser took all of a model that has
        local functions.
    """
    search = _RefusalSearch(flavour, model_path, observer or SearchObserver())
    set_numbers(model)
    foreign = {node.name: f"it {problem}." for _, node, problem in foreign_operators(model)}
    search.run(model, {**foreign, **known}, asks_plugins)
    return search.findings, search.pruned


class _RefusalSearch:
    def __init__(self, flavour: Flavour, model_path: Path, observer: SearchObserver) -> None:
        from polygraphy.backend.trt import create_network

        self._flavour = flavour
        self._model_path = model_path
        self._observer = observer
        self._builder, network = create_network()
        self._flags = network.flags
        self.findings = ParserFindings()
        self.pruned: PrunedModel | None = None

    def run(self, model: onnx.ModelProto, known: Reasons, asks_plugins: bool) -> None:
        """Find all refusals."""
        first: Reasons = known
        if model.functions:
            # The parser treats a call differently from the nodes of the function.
            if not known and asks_plugins:
                parsed = self._parse(model)
                if parsed.is_accepted:
                    self._take(parsed.log.begun)
                    return
                first = {each.node: each.reason for each in parsed.errors if each.node}
            calls = _calls(model)
            try:
                model = inline_functions(model)
            except ModelError as error:
                self._refuse(first)
                self.findings.problems.append(error.message)
                return
            self._take(calls)
        self.pruned = PrunedModel(model)
        signatures = Signatures(self.pruned)
        alike = {
            other: reason
            for name, reason in first.items()
            for each in self.pruned.names_of(name)
            for other in signatures.alike(each)
        }
        self._refuse({**first, **alike})
        for name in alike:
            self.pruned.remove(name)
        if not asks_plugins:
            for name, (_, node) in self.pruned.nodes.items():
                if node.domain not in ("", "ai.onnx"):
                    self.pruned.remove(name)
        while not self._settle(self.pruned, signatures):
            pass
        self.findings.unasked = _numbers(self.pruned.unasked)
        if self.findings.unasked and asks_plugins:
            self._assume(self.pruned, signatures)

    def _assume(self, pruned: PrunedModel, signatures: Signatures) -> None:
        """Ask about the nodes behind values of unknown rank, which are refused only under that."""
        findings, observer = self.findings, self._observer
        self._observer = SearchObserver(observer.on_node)

        def ask() -> tuple[set[str], dict[str, str]]:
            self.findings = ParserFindings()
            while not self._settle(pruned, signatures):
                pass
            numbers = {number_of(name): name for name in pruned.nodes}
            refused = {
                numbers[number]: "\n".join(reasons)
                for number, reasons in self.findings.reasons.items()
            }
            return {numbers[number] for number in self.findings.taken}, refused

        assumed = ask_with_assumed_ranks(pruned, ask)
        self.findings, self._observer = findings, observer
        for number in _numbers(assumed.taken):
            findings.taken_if[number] = assumed.text
        for name, reason in assumed.refused.items():
            for number in _numbers([name]):
                findings.refused_if[number] = f"{assumed.text}: {reason}"

    def _settle(self, pruned: PrunedModel, signatures: Signatures) -> bool:
        """Parse once and remove the refused nodes; return whether the search is at its end."""
        parsed = self._parse(pruned.model)
        if parsed.is_accepted:
            self._take(parsed.log.begun)
            return True
        reasons: dict[str, str] | None
        reasons = {
            each.node: each.reason for each in parsed.errors if _can_remove(pruned, each.node)
        }
        if not reasons:
            reasons = self._refuse_value(pruned, parsed)
        if reasons is None or any(pruned.withdraw(each.node) for each in parsed.errors):
            return False
        if not reasons:
            self.findings.problems.append(_joined(parsed))
            self._take(parsed.log.done)
            return True
        for name, reason in list(reasons.items()):
            if name in parsed.log.begun:
                reasons.update(dict.fromkeys(signatures.alike(name), reason))
        self._refuse(reasons)
        for name in reasons:
            pruned.remove(name)
            pruned.unasked.discard(name)
        return False

    def _refuse_value(self, pruned: PrunedModel, parsed: Parsed) -> dict[str, str] | None:
        """Return reasons against the readers of a graph input or initializer that is refused.

        The dict is empty if the parser stopped for another reason; None means that the value has no
        readers.
        """
        value, reason = parsed.log.value, _joined(parsed)
        if not value or (not parsed.log.inputs and value not in reason):
            return {}
        reasons = dict.fromkeys(pruned.readers_of(value), f"'{value}': {reason}")
        pruned.drop_value(value)
        if not reasons:
            self.findings.problems.append(f"'{value}': {reason}")
            return None
        return reasons

    def _parse(self, model: onnx.ModelProto) -> Parsed:
        network = self._builder.create_network(self._flags)  # the parser holds no reference to it
        data = model.SerializeToString()
        with callback_errors() as failures:
            parsed = parse_logged(
                self._flavour, network, data, self._model_path, self._observer.on_node
            )
            raised = list(failures)
            failures.clear()  # here they are reasons, not errors
        if raised:
            parsed.errors[:] = [
                ParserError(each.node or parsed.culprit, f"{each.plugin}: {each.error}")
                for each in raised
            ]
        return parsed

    def _refuse(self, reasons: Reasons) -> None:
        for name, reason in reasons.items():
            number = number_of(name)
            if number is None:
                self.findings.problems.append(reason)
            else:
                self.findings.refuse(number, reason)
                self._observer.on_refusal(name, reason)

    def _take(self, names: Iterable[str]) -> None:
        self.findings.taken |= _numbers(names)


def _numbers(names: Iterable[str]) -> set[int]:
    return {number for name in names if (number := number_of(name)) is not None}


def _calls(model: onnx.ModelProto) -> list[str]:
    """Return the nodes that call local functions; after inlining nothing of them is refused."""
    functions = {(each.domain, each.name) for each in model.functions}
    return [
        node.name
        for scope in scopes(model)
        for node in scope.graph.node
        if (node.domain, node.op_type) in functions
    ]


def _can_remove(pruned: PrunedModel, name: str) -> bool:
    return name in pruned.nodes and name not in pruned.removed


def _joined(parsed: Parsed) -> str:
    reasons = dict.fromkeys(each.reason for each in parsed.errors)
    return "\n".join(reasons) or "it gives no reason."
