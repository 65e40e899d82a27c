"""One run of TensorRT's ONNX parser, and which node it was at, as its log tells.

The parser often reports an error without its node, but it logs each node when it comes to it and
when it is done with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
        node: the name of the node that it is about; empty where that is unknown.
        reason: what the parser says.
    """

    node: str
    reason: str


@dataclass
class ParserLog:
    """What the log says so far.

    Attributes:
        begun: the nodes that the parser came to.
        done: those that it took.
        open: those that it is at, a node after the one whose body it is in.
        inputs: the graph inputs that it has begun to read and does not know.
        initializer: the one that it read last.
        on_node: told of each node that the parser checks or comes to.
    """

    on_node: Callable[[str], None] = lambda _: None
    begun: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    open: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    initializer: str = ""

    def read(self, message: str) -> None:
        """Take one message of the log, which must be of nodes whose names hold no spaces."""
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
        """The graph input or initializer that it was at, while it had come to no node."""
        return "" if self.begun else next(iter(self.inputs), self.initializer)


@dataclass(frozen=True)
class Parsed:
    """What the parser made of a model.

    Attributes:
        has_parsed: what it answered.
        errors: what it says is wrong.
        log: what it came to.
        network: what it made.
        parser: it owns the network's weights.
    """

    has_parsed: bool
    errors: list[ParserError]
    log: ParserLog
    network: Any
    parser: Any

    @property
    def is_accepted(self) -> bool:
        """Whether it took the whole model, without an error of a plugin's either."""
        return self.has_parsed and not self.errors

    @property
    def culprit(self) -> str:
        """The node that the parser was at when it stopped; empty where it was at none."""
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
        model_path: external data stands beside it.
        on_node: told the name of each node when the parser comes to it.
    """
    log = ParserLog(on_node)
    parser = flavour.module.OnnxParser(network, _logger(flavour, log))
    parsed = Parsed(parser.parse(data, str(model_path)), [], log, network, parser)
    for error in [parser.get_error(index) for index in range(parser.num_errors)]:
        name = error.node_name() or parsed.culprit
        parsed.errors.append(ParserError(name, reason_of(error)))
    return parsed


def reason_of(error: Any) -> str:
    """What the parser says of an error; some of its checks say no more than "false"."""
    try:
        text = meaningful(error.desc().splitlines())
        if text == "false":
            return f"it takes no {error.node_operator() or 'such node'} ({error.func()}: false)."
    except UnicodeDecodeError:
        return "it quotes bytes of the model that are no text."
    return text


def _logger(flavour: Flavour, log: ParserLog) -> Any:
    trt = flavour.module

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]  # known at run time
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, _severity: Any, message: str) -> None:
            log.read(message)

    return Logger()
