"""Run TensorRT's ONNX parser and follow in its log which node it is at.

The parser often reports an error without the node, but it logs each node when it begins with it and
when it is done with it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pluginkit.current_work import PARSING, working
from pluginkit.engine.parse.parser_words import in_onnx_terms
from pluginkit.engine.parse.polygraphy_backend import meaningful
from pluginkit.trt.flavour import Flavour

_CHECKING = "Static check for parsing node: "
_PARSING = "Parsing node: "
_DONE = re.compile(r"(\S+) \[.*?\] outputs: ")
_INPUT = re.compile(r"Adding network input: (.+) with dtype: ")
_KNOWN = re.compile(r"Registering tensor: .* for ONNX tensor: (.*)")
_INITIALIZER = "Importing initializer: "


@dataclass(frozen=True)
class ParserError:
    """One error of the parser.

    Attributes:
        node: the name of the node; empty if unknown.
        reason: the parser's message.
    """

    node: str
    reason: str


@dataclass
class ParserLog:
    """The state of the parser, from its log so far.

    Attributes:
        begun: the nodes that the parser began with.
        done: the nodes that it took.
        open: the nodes that it is at; a node comes after the one whose body it is in.
        inputs: the graph inputs that it began to read and has not registered.
        initializer: the initializer that it read last.
        on_node: told of each node that the parser checks or begins with.
    """

    on_node: Callable[[str], None] = lambda _: None
    begun: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    open: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    initializer: str = ""

    def read(self, message: str) -> None:
        """Take one message of the log; node names must have no spaces."""
        if message.startswith(_PARSING):
            name = message.removeprefix(_PARSING).partition(" ")[0]
            self.begun.add(name)
            self.open.append(name)
            self.on_node(name)
        elif message.startswith(_CHECKING):
            self.on_node(message.removeprefix(_CHECKING).partition(" ")[0])
        elif found := _DONE.match(message):
            self.done.add(found[1])
            if found[1] in self.open:
                del self.open[self.open.index(found[1]) :]
        elif not self.begun:
            self._read_value(message)

    def _read_value(self, message: str) -> None:
        if message.startswith(_INITIALIZER):
            self.initializer = message.removeprefix(_INITIALIZER)
        elif found := _INPUT.match(message):
            self.inputs.append(found[1])
        elif (found := _KNOWN.fullmatch(message)) and found[1] in self.inputs:
            self.inputs.remove(found[1])

    @property
    def value(self) -> str:
        """The graph input or initializer that it is at; empty once it has begun with a node."""
        return "" if self.begun else next(iter(self.inputs), self.initializer)


@dataclass(frozen=True)
class Parsed:
    """One run of the parser.

    Attributes:
        has_parsed: the parser's answer.
        errors: its errors.
        log: the nodes that it reached.
        network: the network that it made.
        parser: the parser, which owns the network's weights.
    """

    has_parsed: bool
    errors: list[ParserError]
    log: ParserLog
    network: Any
    parser: Any

    @property
    def is_accepted(self) -> bool:
        """Whether the parser took the whole model and no plugin raised an error."""
        return self.has_parsed and not self.errors

    @property
    def culprit(self) -> str:
        """The node that the parser was at when it stopped; empty if it was at none."""
        return self.log.open[-1] if self.log.open else ""


def parse_logged(
    flavour: Flavour,
    network: Any,
    data: bytes,
    model_path: Path,
    on_node: Callable[[str], None] = lambda _: None,
) -> Parsed:
    """Parse a model whose nodes have names without spaces into an empty network.

    Args:
        flavour: the TensorRT, bound to Polygraphy.
        network: the network.
        data: the model.
        model_path: the model's file, whose folder has the external data.
        on_node: told the name of each node when the parser begins with it.
    """
    log = ParserLog(on_node)
    parser = flavour.module.OnnxParser(network, _logger(flavour, log))
    with working(str(flavour), PARSING, model_path):
        has_parsed = parser.parse(data, parser_path(model_path))
    parsed = Parsed(has_parsed, [], log, network, parser)
    for error in [parser.get_error(index) for index in range(parser.num_errors)]:
        name = error.node_name() or parsed.culprit
        parsed.errors.append(ParserError(name, reason_of(error)))
    return parsed


def parser_path(model_path: Path) -> str:
    """Return a model's path in UTF-8, which TensorRT takes, whatever the locale's encoding is.

    What is no UTF-8 is replaced: the parser reads no more than external data beside the model.
    """
    return os.fsencode(model_path).decode(errors="replace")


def reason_of(error: Any) -> str:
    """Return what a parser error means; for some checks the parser's own text is "false"."""
    try:
        text = meaningful(error.desc().splitlines())
        if text == "false":
            return f"it refuses {error.node_operator() or 'the node'} ({error.func()}: false)."
    except UnicodeDecodeError:
        return "its message quotes bytes of the model that are no text."
    return in_onnx_terms(error.node_operator(), text)


def _logger(flavour: Flavour, log: ParserLog) -> Any:
    trt = flavour.module

    class ParserLogger(trt.ILogger):  # type: ignore[misc, name-defined]  # known at run time
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, _severity: Any, message: str) -> None:
            log.read(message)

    return ParserLogger()
