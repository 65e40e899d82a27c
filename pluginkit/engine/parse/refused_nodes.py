"""Every node that TensorRT's ONNX parser refuses, in the context of its model.

The parser stops at the first node that it cannot import, and often does not say which it is. So it
is asked again and again: each refused node is cut out of the model, with graph inputs of the types
of its outputs in its place, until the parser takes what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import onnx

from pluginkit.engine.parse.parser_log import Parsed, ParserError, parse_logged
from pluginkit.engine.parse.single_node_model import Signatures
from pluginkit.engine.parse.traceable_model import CutModel, number_of, set_numbers
from pluginkit.errors import ModelError
from pluginkit.onnx.model.graphs import scopes
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.trt.callbacks import callback_errors
from pluginkit.trt.flavour import Flavour

#: Reasons by the name of the node in a numbered model.
Reasons = Mapping[str, str]
_NONE: Reasons = MappingProxyType({})


@dataclass
class Findings:
    """What the parser makes of a model. Numbers are places in ``node_ids`` of the model.

    Attributes:
        reasons: why it refuses a node, by the node's number.
        taken: the numbers of the nodes that it takes.
        unasked: the numbers of those that could not be asked: they are inside a refused node, or
            read a value of one for which nothing can stand in.
        problems: what it says of no node.

    A node that is in none of these was never come to: it is in the branch of an If that a constant
    decides against, in a function that nothing calls, or behind a problem.
    """

    reasons: dict[int, list[str]] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    unasked: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def refuse(self, number: int, reason: str) -> None:
        """Learn a reason against a node."""
        known = self.reasons.setdefault(number, [])
        if reason not in known:
            known.append(reason)


@dataclass(frozen=True)
class Watch:
    """Whoever wants to know what the search is at, should it not come back.

    Attributes:
        on_node: told of each node that the parser comes to.
        on_refusal: told of each node that is cut out, and why.
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
    watch: Watch | None = None,
) -> tuple[Findings, CutModel | None]:
    """Ask the parser until it takes what is left of a model.

    Equal nodes with equal inputs, as ``Signatures`` compares them, are cut out together for the
    reason of the first.

    Args:
        flavour: the TensorRT, bound to Polygraphy.
        model: the model, which is used up: its nodes get numbers for names.
        model_path: external data stands beside it.
        known: nodes that are refused for a reason that the parser cannot give, by the names that
            ``watch`` was told.
        asks_plugins: False cuts out nodes of other domains than ONNX's, so that no plugin runs.
        watch: told what happens.

    Returns:
        what was found, and what is left of the model; None for that where the parser took all of a
        model that has local functions.
    """
    search = _Search(flavour, model_path, watch or Watch())
    set_numbers(model)
    search.run(model, known, asks_plugins)
    return search.findings, search.cuts


class _Search:
    def __init__(self, flavour: Flavour, model_path: Path, watch: Watch) -> None:
        from polygraphy.backend.trt import create_network

        self._flavour = flavour
        self._model_path = model_path
        self._watch = watch
        self._builder, network = create_network()
        self._flags = network.flags
        self.findings = Findings()
        self.cuts: CutModel | None = None

    def run(self, model: onnx.ModelProto, known: Reasons, asks_plugins: bool) -> None:
        """Find all refusals."""
        first: Reasons = known
        if model.functions:
            # The parser treats a call otherwise than the nodes that are inside.
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
        self.cuts = CutModel(model)
        signatures = Signatures(self.cuts)
        alike = {
            other: reason
            for name, reason in first.items()
            for each in self.cuts.names_of(name)
            for other in signatures.alike(each)
        }
        self._refuse({**first, **alike})
        for name in alike:
            self.cuts.cut(name)
        if not asks_plugins:
            for name, (_, node) in self.cuts.nodes.items():
                if node.domain not in ("", "ai.onnx"):
                    self.cuts.cut(name)
        while not self._settle(self.cuts, signatures):
            pass
        self.findings.unasked = _numbers(self.cuts.unasked)

    def _settle(self, cuts: CutModel, signatures: Signatures) -> bool:
        """Parse once and cut out what is refused; whether that was the last time."""
        parsed = self._parse(cuts.model)
        if parsed.is_accepted:
            self._take(parsed.log.begun)
            return True
        reasons: dict[str, str] | None
        reasons = {each.node: each.reason for each in parsed.errors if _can_cut(cuts, each.node)}
        if not reasons:
            reasons = self._refuse_value(cuts, parsed)
        if reasons is None or any(cuts.withdraw(each.node) for each in parsed.errors):
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
            cuts.cut(name)
            cuts.unasked.discard(name)
        return False

    def _refuse_value(self, cuts: CutModel, parsed: Parsed) -> dict[str, str] | None:
        """Reasons against the readers of a graph input or initializer that the parser refuses.

        Returns:
            nothing where it stopped for another reason; None where the value has no readers.
        """
        value, reason = parsed.log.value, _joined(parsed)
        if not value or (not parsed.log.inputs and value not in reason):
            return {}
        reasons = dict.fromkeys(cuts.readers_of(value), f"'{value}': {reason}")
        cuts.drop_value(value)
        if not reasons:
            self.findings.problems.append(f"'{value}': {reason}")
            return None
        return reasons

    def _parse(self, model: onnx.ModelProto) -> Parsed:
        network = self._builder.create_network(self._flags)  # the parser holds no reference to it
        data = model.SerializeToString()
        with callback_errors() as failures:
            parsed = parse_logged(
                self._flavour, network, data, self._model_path, self._watch.on_node
            )
            raised = list(failures)
            failures.clear()  # they are reasons here, not errors
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
                self._watch.on_refusal(name, reason)

    def _take(self, names: Iterable[str]) -> None:
        self.findings.taken |= _numbers(names)


def _numbers(names: Iterable[str]) -> set[int]:
    return {number for name in names if (number := number_of(name)) is not None}


def _calls(model: onnx.ModelProto) -> list[str]:
    """The nodes that call local functions; nothing is left to refuse once these are inlined."""
    functions = {(each.domain, each.name) for each in model.functions}
    return [
        node.name
        for scope in scopes(model)
        for node in scope.graph.node
        if (node.domain, node.op_type) in functions
    ]


def _can_cut(cuts: CutModel, name: str) -> bool:
    return name in cuts.nodes and name not in cuts.gone


def _joined(parsed: Parsed) -> str:
    reasons = dict.fromkeys(each.reason for each in parsed.errors)
    return "\n".join(reasons) or "it gives no reason."
