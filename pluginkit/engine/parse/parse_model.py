"""Parse a model with TensorRT's ONNX parser; if it refuses the model, name every refused node."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.current_work import PARSING, working
from pluginkit.engine.parse.parser_log import parser_path, reason_of
from pluginkit.engine.parse.polygraphy_backend import meaningful
from pluginkit.errors import ParseError
from pluginkit.onnx.model.graphs import MAIN_GRAPH
from pluginkit.trt.flavour import Flavour

if TYPE_CHECKING:
    import onnx

    from pluginkit.engine.parse.traceable_model import NodeId

_Refusal = tuple[str, str, str]  # op_type, node, reason


@dataclass(frozen=True)
class ParsedNetwork:
    """A network that TensorRT can build.

    Attributes:
        flavour: the TensorRT.
        builder: the IBuilder that made the network.
        network: the INetworkDefinition.
        parser: the OnnxParser, which owns the network's weights and must live until the engine is
            built.
    """

    flavour: Flavour
    builder: Any
    network: Any
    parser: Any


def parse_model(
    flavour: Flavour,
    model: onnx.ModelProto,
    model_path: Path,
    errors: list[str],
    *,
    is_typed: bool = False,
) -> ParsedNetwork:
    """Parse a rewritten model.

    Args:
        flavour: the TensorRT, bound to Polygraphy.
        model: the model, rewritten.
        model_path: the file that it came from; its folder holds the external data.
        errors: the list to which ``captured_log`` adds what TensorRT logs.
        is_typed: whether the model's types are binding also for TensorRT 10, which chooses its own
            otherwise.

    Errors:
        PK520: the parser refuses nodes; the message names each.  PK446, PK447: the parser could
        crash on a node.  PK466: it would take one for another operator.
    """
    from pluginkit.engine.parse.parser_preconditions import check_operators

    check_operators(model)
    parsed, is_accepted = try_parse(flavour, model, model_path, is_typed=is_typed)
    if is_accepted:
        return parsed
    refusals = list(dict.fromkeys(_refusals(parsed, model, model_path)))
    nodes = [f"{op_type} '{name}'" for op_type, name, _ in refusals if op_type or name]
    others = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    raise ParseError(
        "PK520",
        f"{flavour.name}'s ONNX parser refuses {nodes[0] if nodes else 'the model'}{others}.",
        where=str(model_path),
        cause="\n".join(_explain(refusals)) or meaningful(errors) or "it gives no reason.",
        fix=f"{_next_step(refusals, model, model_path)}, or export the model without it; "
        "pluginkit list shows the rewrites there are.",
    )


def _next_step(refusals: list[_Refusal], model: onnx.ModelProto, path: Path) -> str:
    """Return how to begin a plugin for the first refused node."""
    from pluginkit.onnx.model.graphs import label, scopes

    wanted = {(op_type, name) for op_type, name, _ in refusals}
    nodes = (node for scope in scopes(model) for node in scope.graph.node)
    for node in nodes:
        if (node.op_type, label(node)) in wanted:
            command = new_plugin_command(node.op_type, node.domain, path, label(node))
            return f"begin a plugin for it with {command}"
    return "replace the node by a plugin, with a rewrite"


def new_plugin_command(op_type: str, domain: str, path: Path, node: str) -> str:
    """Return the command that begins a plugin, and its rewrite, for a node of a model.

    One of ONNX's operators has a schema that says more than the node.
    """
    import onnx.defs

    words = re.findall("[A-Za-z0-9]+", op_type)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    if domain in ("", "ai.onnx") and onnx.defs.has(op_type):
        return f"pluginkit new My{name} --onnx-op {op_type}"
    return f"pluginkit new My{name} --from {shlex.quote(f'{path}:{node}')}"


def try_parse(
    flavour: Flavour, model: onnx.ModelProto, model_path: Path, *, is_typed: bool = False
) -> tuple[ParsedNetwork, bool]:
    """Parse a model, and return the network and whether the parser took the whole model."""
    from polygraphy.backend.trt import create_network
    from polygraphy.backend.trt.util import get_trt_logger

    builder, network = create_network(strongly_typed=is_typed)
    parser = flavour.module.OnnxParser(network, get_trt_logger())
    with working(str(flavour), PARSING, model_path):
        is_parsed = parser.parse(model.SerializeToString(), parser_path(model_path))
    return ParsedNetwork(flavour, builder, network, parser), is_parsed and network.num_outputs > 0


def _explain(refusals: list[_Refusal]) -> Iterator[str]:
    """Yield one line for each reason, with all its nodes: a model may have hundreds."""
    for reason in dict.fromkeys(reason for _, _, reason in refusals):
        names = [f"{op} '{name}'" for op, name, why in refusals if why == reason and (op or name)]
        yield f"{', '.join(names)}: {reason}" if names else reason


def _refusals(
    parsed: ParsedNetwork, model: onnx.ModelProto, model_path: Path
) -> Iterator[_Refusal]:
    """Yield every refused node, and what else the parser said before it stopped.

    The parser stops at the first node, so the model is parsed again without the refused ones.
    Plugins do not run again: what they raised is known.
    """
    from pluginkit.engine.parse.refused_nodes import find_refusals
    from pluginkit.engine.parse.traceable_model import node_ids, with_labels

    copy = type(model)()
    copy.CopyFrom(model)
    ids = node_ids(copy)
    findings, _ = find_refusals(parsed.flavour, copy, model_path, asks_plugins=False)
    explained: set[str] = set()
    named: set[tuple[str, str]] = set()
    for number in sorted(findings.reasons):
        named.add((ids[number].op_type, ids[number].label))
        for reason in findings.reasons[number]:
            explained.add(with_labels(reason, ids))
            yield ids[number].op_type, ids[number].label, with_labels(reason, ids)
    parser = parsed.parser
    for error in [parser.get_error(index) for index in range(parser.num_errors)]:
        op_type, label = error.node_operator(), _label_of(error, ids)
        is_again = not error.node_name() and (op_type, label) in named
        if reason_of(error) not in explained and not is_again:
            yield op_type, label, reason_of(error)


def _label_of(error: Any, ids: Sequence[NodeId]) -> str:
    """Return the label of the node of a parser error, which has no name if the node has none."""
    if error.node_name():
        return str(error.node_name())
    alike = [one for one in ids if one.op_type == error.node_operator() and not one.name]
    here = [one for one in alike if one.where == MAIN_GRAPH and one.position == error.node()]
    return (here or alike)[0].label if alike else ""
