"""Say in ONNX's terms what TensorRT's builder complains of: which nodes, why, and what helps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import onnx

from pluginkit.contract.plugin import Plugins
from pluginkit.onnx.model.graphs import Scope, bodies, describe, has_bodies, scopes
from pluginkit.onnx.model.plugin_nodes import plugin_of_node

#: Whether a complaint may be about a node.
_Concerns = Callable[[onnx.NodeProto, Plugins], bool]


@dataclass(frozen=True)
class BuilderComplaint:
    """What TensorRT's words mean.

    Attributes:
        where: the nodes.
        cause: why they do not build.
        fix: what to do.
        rewrite: the name of an opt-in rewrite that helps.
    """

    where: str
    cause: str
    fix: str
    rewrite: str | None = None


def _has_bodies(node: onnx.NodeProto, _: Plugins) -> bool:
    return has_bodies(node)


def _finds_a_size(node: onnx.NodeProto, plugins: Plugins) -> bool:
    plugin = plugin_of_node(node, plugins)
    return plugin is not None and bool(plugin.spec.sizes)


def _is_if(node: onnx.NodeProto, _: Plugins) -> bool:
    return node.op_type == "If"


def _holds_an_if(node: onnx.NodeProto, _: Plugins) -> bool:
    inner = (each for _, body in bodies(node) for each in body.node)
    return node.op_type == "If" and any(each.op_type == "If" for each in inner)


def _has_elu(node: onnx.NodeProto, _: Plugins) -> bool:
    return any(b"Elu" in each.strings for each in node.attribute if each.name == "activations")


class _KnownComplaint(NamedTuple):
    """TensorRT's words, the nodes that they may be about, and what a BuilderComplaint says."""

    pattern: str
    concerns: _Concerns
    cause: str
    fix: str
    rewrite: str | None = None


_COMPLAINTS = (
    _KnownComplaint(
        r"makeScopeNodesContiguous|LoopScope|loopScope",
        _has_bodies,
        "TensorRT cannot put the nodes of a Loop's or If's body in an order.",
        "move what a body computes from values outside of it, and what it hands on unchanged, in "
        "front of the node; or export the model with the loop unrolled.",
    ),
    _KnownComplaint(
        r"ScopeType::kUNDEFINED",
        _is_if,
        "TensorRT fails on an If whose condition is not known before the model runs, as where its "
        "branches are networks with Ifs of their own.",
        "give --shapes with one size for each dimension that a condition follows from. If one "
        "follows from an input that is always the same, such as a sampling rate, make the input an "
        "initializer with that value.",
    ),
    _KnownComplaint(
        r"CHECK\(static_cast<size_t>\(i\) < op->input_size\(\)\)",
        _holds_an_if,
        "TensorRT's compiler fails on an If in a branch of another, where sizes vary.",
        "give --shapes with one size for each dimension; or compute both branches of the inner If, "
        "and choose between them with Where, torch.where in PyTorch.",
    ),
    _KnownComplaint(
        r"Backedge detected",
        _is_if,
        "TensorRT fails on an If in a loop that carries what the If gives, if its size may vary.",
        "compute both branches in each run of the loop, and choose between them with Where, "
        "torch.where in PyTorch.",
    ),
    _KnownComplaint(
        r"mScopedOp2Scopes",
        _is_if,
        "TensorRT fails on a Loop inside an If, whose body computes with values from outside.",
        "export the model with the branch taken or the loop unrolled; with --precision, --keep the "
        "nodes of the loop in float32.",
    ),
    _KnownComplaint(
        r"DDSPlugin|hasDataDependent|data.dependent",
        _finds_a_size,
        "TensorRT cannot follow a size that a plugin finds in data through the rest of the model.",
        "let one node find the size, and compute what has that size from its output; or end the "
        "model there, and run the rest as a second model.",
    ),
    _KnownComplaint(
        r"dimensions have overflown",
        lambda *_: False,
        "a size follows from data, as from the largest of some integers, and TensorRT knows no "
        "limit of it.",
        "export the model with a size that is known: num_segments of a segment sum, maxlen of a "
        "mask, minlength and maxlength of a count.",
    ),
    _KnownComplaint(
        r"equal ranks when condition is not a build-time constant",
        _is_if,
        "the branches of an If have different ranks, and TensorRT cannot tell which is taken.",
        "give --shapes with one size for each dimension that the condition follows from, or export "
        "the model with the branch taken.",
    ),
    _KnownComplaint(
        r"broadcast dimensions must be conformable",
        lambda *_: False,
        "a node combines two tensors whose lengths differ at a size that the model allows; often "
        "the export stored how many elements its example had, as the end of a Slice.",
        "export with lengths that are read from tensors, not Python's numbers; or give --shapes "
        "that leave the lengths equal.",
    ),
    _KnownComplaint(
        r"FP32 \w+ is not supported",
        lambda *_: False,
        "TensorRT-RTX has no float32 products for compute capability 7.5.",
        "add --precision float16, or leave 7.5 out of --compute-capability.",
    ),
    _KnownComplaint(
        r"HW-specific datatypes",
        lambda *_: False,
        "the model has a type that one of the compute capabilities lacks: 7.5 has neither "
        "bfloat16 nor int4, float8 begins with 8.9 and float4 with 12.0.",
        "leave out the compute capabilities without it, or convert the model to float16.",
    ),
    _KnownComplaint(
        r"nbdims_bias",
        lambda node, _: node.op_type == "Conv",
        "TensorRT fails on a convolution of a signal.",
        "build with --with WidenConv.",
        "WidenConv",
    ),
    _KnownComplaint(
        r"ssa_validation",
        lambda node, _: node.op_type == "GridSample",
        "TensorRT fails on a value that is sampled and concatenated as well.",
        "build with --with ReplaceEveryGridSample.",
        "ReplaceEveryGridSample",
    ),
    _KnownComplaint(
        r"scatter_elements\([\s\S]*of indices \([^)]*\) must be less",
        lambda node, _: node.op_type in ("Scatter", "ScatterElements"),
        "TensorRT has no ScatterElements with more indices than elements.",
        "build with --with ReplaceEveryScatterElements.",
        "ReplaceEveryScatterElements",
    ),
    _KnownComplaint(
        r"Strided & Dilated Deconv",
        lambda node, _: node.op_type == "ConvTranspose",
        "TensorRT has no transposed convolution with both strides and dilations.",
        "export weights of a known size, so that pluginkit puts the zeros of the dilation between "
        "them.",
    ),
    _KnownComplaint(
        r"= elu\(",
        _has_elu,
        "TensorRT fails on the activation Elu inside an RNN, GRU or LSTM.",
        "train it with another activation, such as Tanh; or export it with its steps unrolled.",
    ),
    _KnownComplaint(
        r"was not a shape value",
        lambda node, _: node.op_type == "Ceil",
        "TensorRT fails on a size that is divided and rounded up in floating point.",
        "build with --with RoundUpInIntegers.",
        "RoundUpInIntegers",
    ),
    _KnownComplaint(
        r"(?i)out of memory|outofmemory|insufficient (workspace|memory)",
        lambda *_: False,
        "the build needs more memory than it may have.",
        "allow more with --memory, or build on a machine with more memory.",
    ),
    _KnownComplaint(
        r"MyelinCheckException",
        lambda *_: False,
        "TensorRT's compiler of fused nodes fails on this combination of nodes.",
        "give --shapes with one size for each dimension, which it often takes; or cut the model in "
        "two, and build both parts.",
    ),
    _KnownComplaint(
        r"Could not find any implementation",
        lambda *_: False,
        "TensorRT has no kernel for the node with these types, shapes and attributes.",
        "build for other types or ranges of shapes, with another TensorRT, or replace the node by "
        "a plugin.",
    ),
)
_SEPARATORS = re.compile(r"[\s,:;\[\]{}()'\"+]+")
#: Nodes that an error names.
_NAMED = 4


def complaint_in(words: str, model: onnx.ModelProto, plugins: Plugins) -> BuilderComplaint | None:
    """Return what an error of TensorRT's builder means; None if it says nothing of the kind.

    Args:
        words: what TensorRT logged.
        model: the model that was built.
        plugins: the plugins of its nodes.
    """
    named = list(_named_in(words, model))
    for known in _COMPLAINTS:
        if re.search(known.pattern, words):
            likely = [one for one in named if known.concerns(one[1], plugins)]
            suspects = (
                likely or named or [one for one in _nodes(model) if known.concerns(one[1], plugins)]
            )
            if known.rewrite is not None and not suspects:
                continue  # there is nothing for it to rewrite
            return BuilderComplaint(_where(suspects), known.cause, known.fix, known.rewrite)
    return BuilderComplaint(_where(named), "", "") if named else None


def _nodes(model: onnx.ModelProto) -> Iterator[tuple[Scope, onnx.NodeProto]]:
    return ((scope, node) for scope in scopes(model) for node in scope.graph.node)


def _named_in(words: str, model: onnx.ModelProto) -> Iterator[tuple[Scope, onnx.NodeProto]]:
    """Yield the nodes that TensorRT mentions, also by the names of layers that it made of them."""
    parts = {part for part in _SEPARATORS.split(words) if len(part) > 1}
    parts |= {re.sub(r"_(OutputLayer|TripLimit|Condition)\w*$", "", part) for part in parts}
    return ((scope, node) for scope, node in _nodes(model) if node.name in parts)


def _where(nodes: list[tuple[Scope, onnx.NodeProto]]) -> str:
    listed = [f"{scope.path}, node {describe(node)}" for scope, node in nodes[:_NAMED]]
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    return ", ".join(listed) + more
