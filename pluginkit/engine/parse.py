"""TensorRT's ONNX parser, with every refused node named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.engine.backend import meaningful
from pluginkit.errors import ParseError
from pluginkit.trt.flavour import Flavour

if TYPE_CHECKING:
    import onnx

_Refusal = tuple[str, str, str]  # op_type, node name, reason


def parse_model(
    flavour: Flavour, model: onnx.ModelProto, model_path: Path, errors: list[str]
) -> tuple[Any, Any, Any]:
    """Parse a model, whose external data stands beside ``model_path``.

    Args:
        flavour: the TensorRT, bound to Polygraphy.
        model: the model, rewritten.
        model_path: the file that it came from.
        errors: what is logged meanwhile, see ``captured_log``.

    Returns:
        The builder, the network and the parser, which owns the network's weights.

    Errors:
        PK520: the parser refuses nodes; the message names each.
    """
    from polygraphy.backend.trt import create_network

    builder, network = create_network()
    parser = _new_parser(flavour, network)
    data = model.SerializeToString()
    if parser.parse(data, str(model_path)) and network.num_outputs > 0:
        return builder, network, parser
    refusals = list(dict.fromkeys(_refusals(_Prober(flavour, builder, model_path), parser, model)))
    nodes = [f"{op_type} '{name}'" for op_type, name, _ in refusals if op_type or name]
    others = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    raise ParseError(
        "PK520",
        f"{flavour.name}'s ONNX parser refuses {nodes[0] if nodes else 'the model'}{others}.",
        where=str(model_path),
        cause="\n".join(_explain(refusals)) or meaningful(errors) or "it gives no reason.",
        fix="write a rewrite that replaces the node by a plugin, or export the model without it; "
        "pluginkit list shows the rewrites there are.",
    )


def _explain(refusals: list[_Refusal]) -> Iterator[str]:
    """One line for each reason, with all its nodes: a model may have hundreds."""
    for reason in dict.fromkeys(reason for _, _, reason in refusals):
        names = [f"{op} '{name}'" for op, name, why in refusals if why == reason and (op or name)]
        yield f"{', '.join(names)}: {reason}" if names else reason


def _new_parser(flavour: Flavour, network: Any) -> Any:
    from polygraphy.backend.trt.util import get_trt_logger

    return flavour.module.OnnxParser(network, get_trt_logger())


def _reason(error: Any) -> str:
    try:
        return meaningful(error.desc().splitlines())
    except UnicodeDecodeError:
        return "it quotes bytes of the model that are no text."


def _errors_of(parser: Any) -> list[Any]:
    return [parser.get_error(index) for index in range(parser.num_errors)]


@dataclass(frozen=True)
class _Prober:
    """Parses models that are never built."""

    flavour: Flavour
    builder: Any
    model_path: Path

    def reasons_against(self, model: onnx.ModelProto) -> list[str]:
        network = self.builder.create_network()  # the parser holds no reference to it
        parser = _new_parser(self.flavour, network)
        parser.parse(model.SerializeToString(), str(self.model_path))
        return [_reason(error) for error in _errors_of(parser)]


def _refusals(prober: _Prober, parser: Any, model: onnx.ModelProto) -> Iterator[_Refusal]:
    """What the parser says of the first node, named or not, and the nodes refused alike."""
    errors = _errors_of(parser)
    named = [error for error in errors if error.node_name() or error.node_operator()]
    for error in named:
        yield error.node_operator(), error.node_name(), _reason(error)
    alike = list(_refused_alone(prober, model, {_reason(error) for error in errors}))
    yield from alike
    explained = {_reason(error) for error in named} | {reason for _, _, reason in alike}
    for error in errors:
        if _reason(error) not in explained:
            yield "", "", _reason(error)


def _refused_alone(
    prober: _Prober, model: onnx.ModelProto, reasons: set[str]
) -> Iterator[_Refusal]:
    """The main graph's nodes that the parser, given each alone, refuses for one of ``reasons``."""
    types = _value_types(model)
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):  # plugins, whose callbacks would run, and functions
            continue
        alone = _model_of_node(model, node, types)
        if alone is None:
            continue
        for reason in reasons.intersection(prober.reasons_against(alone)):
            yield node.op_type, node.name, reason


def _model_of_node(
    model: onnx.ModelProto, node: onnx.NodeProto, types: dict[str, onnx.ValueInfoProto]
) -> onnx.ModelProto | None:
    """A model of one node, or None where an input's type is unknown."""
    from onnx import helper

    constants = {one.name: one for one in model.graph.initializer if one.name in node.input}
    names = [name for name in dict.fromkeys(node.input) if name and name not in constants]
    if not all(name in types for name in names):
        return None
    graph = helper.make_graph(
        [node],
        "alone",
        [types[name] for name in names],
        [
            types.get(name) or helper.make_empty_tensor_value_info(name)
            for name in node.output
            if name
        ],
        list(constants.values()),
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _value_types(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Every value whose element type is known."""
    from onnx import shape_inference

    try:
        graph = shape_inference.infer_shapes(model).graph
    except (ValueError, RuntimeError):  # what cannot be inferred is not probed
        graph = model.graph
    values = [*graph.input, *graph.value_info, *graph.output]
    return {value.name: value for value in values if value.type.tensor_type.elem_type}
