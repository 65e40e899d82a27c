"""Make outputs of values inside a model, so that a plan can be compared layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from pluginkit.engine.parse.parse_model import ParsedNetwork
from pluginkit.errors import UsageError

if TYPE_CHECKING:
    import onnx

#: Layers whose outputs TensorRT computes before it runs the engine.
_KNOWN_BEFORE = ("SHAPE", "CONSTANT")


def mark_values(parsed: ParsedNetwork, model: onnx.ModelProto, patterns: Sequence[str]) -> None:
    """Mark values of the main graph as outputs of the network, after its own.

    Values inside an If, Loop or Scan cannot be outputs, nor are constants.

    Args:
        parsed: the network.
        model: the rewritten model, whose names the network's tensors have.
        patterns: the names, in which ``*`` and ``?`` stand for others.

    Errors:
        PK546: a pattern fits no value.
    """
    from polygraphy.backend.trt.util import get_all_tensors, mark_outputs

    network = parsed.network
    fixed = _fixed_tensors(parsed)
    tensors = get_all_tensors(network)
    inside = [
        name
        for node in model.graph.node
        for name in node.output
        if name in tensors and name not in fixed
    ]
    wanted = [network.get_output(at).name for at in range(network.num_outputs)]
    for pattern in patterns:
        found = [name for name in inside if fnmatchcase(name, pattern)]
        if not found:
            raise UsageError(
                "PK546",
                f"--mark '{pattern}' fits no value of the rewritten model that TensorRT computes; "
                f"there are {', '.join(inside[:8])}{', ...' if len(inside) > 8 else ''}.",
                fix="give the name of a node's output in the main graph, or '*' for all.",
            )
        wanted += found
    mark_outputs(network, list(dict.fromkeys(wanted)))


def _fixed_tensors(parsed: ParsedNetwork) -> set[str]:
    types = [getattr(parsed.flavour.module.LayerType, name) for name in _KNOWN_BEFORE]
    network: Any = parsed.network
    layers = [network.get_layer(at) for at in range(network.num_layers)]
    return {
        layer.get_output(at).name
        for layer in layers
        if layer.type in types
        for at in range(layer.num_outputs)
    }
