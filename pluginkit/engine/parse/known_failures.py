"""Know the nodes that TensorRT does not build, and why, without building."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
import onnx.numpy_helper

from pluginkit.contract.plugin import Plugin, Plugins
from pluginkit.engine.parse.changing_sizes import SHAPE_INPUTS, reason_of_changing_size
from pluginkit.onnx.model.graphs import (
    Scope,
    bodies,
    defined_names,
    describe,
    is_op,
    output_names,
    scopes,
)
from pluginkit.onnx.model.plugin_nodes import plugin_of_node
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.loop_limits import collects_without_limit

#: Operators whose result is a size if an input is.
_CARRIERS = frozenset(
    {
        "Add", "Cast", "Concat", "Div", "Gather", "Identity", "Max", "Min", "Mul", "Reshape",
        "Slice", "Squeeze", "Sub", "Unsqueeze",
    }
)  # fmt: skip
_NO_KERNEL = {
    "tensorrt_rtx": {
        "NonMaxSuppression": "tensorrt_rtx has no kernel for NonMaxSuppression; it parses, and "
        "does not build. Replace it by a plugin, end the model before it, or build with tensorrt.",
    }
}
_SEQUENCES = frozenset(
    {
        *("ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty"),
        *("SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence"),
    }
)
#: Of these, those whose result is a tensor.
_MAKES_TENSOR = frozenset({"ConcatFromSequence", "SequenceAt", "SequenceLength"})
_NO_SEQUENCES = (
    "TensorRT has no sequences. pluginkit replaces one whose length is known before the model "
    "runs, or to which a loop appends tensors of one shape; this is no such one. Split into a "
    "stored number of tensors, or pad them to one size. In a loop, compute what is appended in "
    "front of the one if that decides about it, and join with torch.stack."
)
_SEQUENCE_OUTPUT = (
    "'{name}' is an output of the model and a sequence, and an engine's outputs are tensors. "
    "Return its tensors one by one, or joined by torch.stack; of a scikit-learn estimator with "
    "several outputs, convert the estimator of each."
)
_NO_STRINGS = (
    "it reads or makes strings, and TensorRT has no tensors of them. pluginkit numbers the words "
    "of a model whose nodes only move, compare and look them up; here a node does more. "
    "Encode words as integers before the engine."
)
_SEARCH = (
    "{op} runs a whole decoder until a word ends the text, and chooses words in between. Build an "
    "engine of the decoder, the graph in its attribute, and let the application search."
)
_STEPS = "{op} walks through its data, from one element to the next. Compute it after the engine."
_HASH = "{op} hashes its input bit by bit. Compute it before the engine, which takes the integers."
#: What no engine computes as ONNX Runtime does, by domain and operator; "" for a whole domain.
_ONNXRUNTIME_ONLY = {
    ("com.microsoft.nchwc", ""): "nodes of com.microsoft.nchwc hold weights in the layout of the "
    "CPU on which ONNX Runtime optimized the model; save it with ORT_ENABLE_EXTENDED instead of "
    "ORT_ENABLE_ALL.",
    ("", "ImageDecoder"): "ImageDecoder reads a compressed file, and TensorRT computes numbers. "
    "Decode images before the engine.",
    ("com.microsoft", "Tokenizer"): "Tokenizer splits text, and TensorRT has no tensors of it. "
    "Tokenize before the engine.",
    **{
        ("com.microsoft", op_type): way.format(op=op_type)
        for way, op_types in (
            (_SEARCH, ("BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch")),
            (_STEPS, ("BifurcationDetector", "DynamicTimeWarping")),
            (_HASH, ("MurmurHash3", "NGramHashMapping", "VarlenNGramHashMapping")),
        )
        for op_type in op_types
    },
    ("com.microsoft", "DynamicQuantizeLSTM"): "DynamicQuantizeLSTM rounds its input and state to 8 "
    "bits in each step. pluginkit spells that out for rows of one length and the activations of "
    "ONNX. Leave LSTMs out of the quantization otherwise: quantize_dynamic(..., "
    "op_types_to_quantize=['MatMul', 'Gather']).",
}


#: What computes a value: a node's description and its plugin, by the value's name.
_Makers = dict[str, tuple[str, Plugin]]


@dataclass(frozen=True)
class KnownFailure:
    """A node that TensorRT will not build.

    Attributes:
        where: the path of its scope.
        position: its index in the scope.
        node: its description.
        reason: why, and a way on.
        is_beyond_plugins: whether no plugin could take the node either.
    """

    where: str
    position: int
    node: str
    reason: str
    is_beyond_plugins: bool


def known_failures(
    model: onnx.ModelProto, plugins: Plugins, flavour: str, *, likely: bool = False
) -> Iterator[KnownFailure]:
    """Yield the nodes of a rewritten model that are known not to build, even if they parse.

    Args:
        model: the model.
        plugins: the plugins of its nodes.
        flavour: the TensorRT, ``"tensorrt_rtx"``.
        likely: whether to yield nodes too that may build, to explain a build that has failed.
    """
    seen: dict[Scope | None, tuple[_Makers, set[str]]] = {None: ({}, set())}
    for scope in scopes(model):  # outer scopes before inner ones
        (outer_makers, outer_strings), own = seen[scope.outer], defined_names(scope.graph)
        makers = {name: made for name, made in outer_makers.items() if name not in own}
        _add_plugin_values(scope, plugins, makers)
        strings = (outer_strings - own) | _strings(scope)
        seen[scope] = makers, strings
        index = GraphIndex(scope)
        for position, node in enumerate(scope.graph.node):
            beyond = _reason_beyond_plugins(node, scope, strings, flavour)
            reason = beyond or _reason(node, makers, index, flavour)
            if reason is None and scope.outer is not None and flavour == "tensorrt_rtx":
                reason = _reason_in_body(plugin_of_node(node, plugins), likely=likely)
            if reason is None and likely and flavour == "tensorrt_rtx":
                reason = reason_of_changing_size(node, index)
            if reason is not None:
                yield KnownFailure(scope.path, position, describe(node), reason, bool(beyond))


def _reason_beyond_plugins(
    node: onnx.NodeProto, scope: Scope, strings: set[str], flavour: str
) -> str | None:
    """Return why neither TensorRT nor a plugin takes a node."""
    if not strings.isdisjoint((*node.input, *node.output)):
        return _NO_STRINGS
    is_sequence = flavour == "tensorrt_rtx" and node.op_type in _SEQUENCES
    if is_sequence and is_op(node, node.op_type):
        given = set(output_names(scope.graph)) if scope.outer is None else set()
        name = next((each for each in node.output if each in given), None)
        is_tensor = name is None or node.op_type in _MAKES_TENSOR
        return _NO_SEQUENCES if is_tensor else _SEQUENCE_OUTPUT.format(name=name)
    return onnxruntime_only(node)


def onnxruntime_only(node: onnx.NodeProto) -> str | None:
    """Return why only ONNX Runtime computes a node that it has made, and a way on."""
    keys = (node.domain, ""), (node.domain, node.op_type)
    return next((_ONNXRUNTIME_ONLY[key] for key in keys if key in _ONNXRUNTIME_ONLY), None)


def _reason(
    node: onnx.NodeProto,
    makers: _Makers,
    index: GraphIndex,
    flavour: str,
) -> str | None:
    if not is_op(node, node.op_type):
        return None
    reason = _NO_KERNEL.get(flavour, {}).get(node.op_type)
    if reason is not None or flavour != "tensorrt_rtx":
        return reason
    if node.op_type == "Loop":
        return _reason_of_loop(node) or _reason_of_limit(node, index)
    for at in SHAPE_INPUTS.get(node.op_type, ()):
        if at < len(node.input) and node.input[at] in makers:
            made_by, plugin = makers[node.input[at]]
            return (
                f"input {at} of {node.op_type} is a size that {made_by} computes, and TensorRT "
                "takes sizes from no plugin's values. Let the plugin make a tensor of that size, "
                f"which {type(plugin).__name__} declares with SizeOutput, or compute the size with "
                "ONNX's operators (--skip the rewrite that made the plugin)."
            )
    return None


def _reason_of_loop(node: onnx.NodeProto) -> str | None:
    """Return why a Loop is not built; None unless its body appends to what it carries."""
    for _, body in bodies(node):
        grown = {name: each for each in body.node for name in each.output}
        for before, after in zip(body.input[2:], body.output[1:], strict=False):
            made = grown.get(after.name)
            if made is not None and is_op(made, "Concat") and before.name in made.input:
                return (
                    f"its body appends to '{before.name}', and TensorRT's loops carry values of "
                    "one shape. Let the loop collect what it appends: in PyTorch, append to a "
                    "list, which torch.stack joins after the loop, or write to a tensor of the "
                    "final size."
                )
    return None


def _reason_of_limit(node: onnx.NodeProto, index: GraphIndex) -> str | None:
    """Return why a Loop is not built; None unless it collects, and only a condition ends it."""
    if not collects_without_limit(index, node):
        return None
    return (
        "it collects a value of each run, and TensorRT needs to know how many there are at most. "
        "Let the loop run a known number of times, as 'for ... in range' without break or return "
        "does, and cut the result where the condition was first met."
    )


def _reason_in_body(plugin: Plugin | None, *, likely: bool) -> str | None:
    """Return why a plugin node is not built in a branch of an If, or the body of a Loop or Scan."""
    if plugin is None:
        return None
    name = type(plugin).__name__
    if plugin.spec.sizes:
        return (
            f"{name} makes an output whose size depends on data, inside a body, and TensorRT has "
            "such sizes in the main graph only. Move the node, with the nodes that make its "
            "inputs, in front of the If, Loop or Scan; pluginkit does so by itself where they "
            "depend on nothing inside."
        )
    if not likely or "workspace_bytes" not in plugin.spec.overrides:
        return None
    return (
        f"{name} asks for a workspace inside a body, which TensorRT's compiler does not give to "
        f"plugins there. Define {name}.workspace_bound, from which pluginkit makes it an output "
        "that nothing reads; or move the node out of the If, Loop or Scan."
    )


def _strings(scope: Scope) -> set[str]:
    """Return the values of a scope that are strings."""
    graph, outside = scope.graph, list[onnx.ValueInfoProto]()
    if isinstance(graph, onnx.GraphProto):
        outside = [*graph.input, *graph.output]
    declared = {
        each.name
        for each in (*graph.value_info, *outside)
        if each.type.tensor_type.elem_type == onnx.TensorProto.STRING
    }
    return declared.union(*(node.output for node in graph.node if _stores_strings(node)))


def _stores_strings(node: onnx.NodeProto) -> bool:
    return is_op(node, "Constant") and any(
        each.name in ("value_string", "value_strings")
        or each.t.data_type == onnx.TensorProto.STRING
        for each in node.attribute
    )


def _add_plugin_values(scope: Scope, plugins: Plugins, makers: _Makers) -> None:
    """Add the values that a plugin of the scope computes, and what follows from them."""
    for node in scope.graph.node:
        plugin = plugin_of_node(node, plugins)
        if plugin is not None:
            sizes = {port.name for port in plugin.spec.sizes}
            for name, port in zip(node.output, plugin.spec.outputs, strict=False):
                if name and port.name not in sizes:
                    makers[name] = (describe(node), plugin)
        elif node.op_type in _CARRIERS and is_op(node, node.op_type):
            made = next((makers[name] for name in node.input if name in makers), None)
            if made is not None:
                makers.update(dict.fromkeys(filter(None, node.output), made))
