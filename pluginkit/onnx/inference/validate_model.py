"""Write the types of plugin nodes into a model, and check the rewritten model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import onnx
import onnx.checker
import onnx.shape_inference

from pluginkit.contract.scratch import names_a_plugin
from pluginkit.errors import ModelError, PluginkitError, RewriteError
from pluginkit.onnx.inference.element_types import WIDER_TYPES, dtype_of_elem_type
from pluginkit.onnx.inference.infer_types import infer_types, plugin_output_types
from pluginkit.onnx.inference.stand_ins import kept_from_crashes
from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.graphs import Scope, describe, output_names, scopes
from pluginkit.onnx.model.plugin_nodes import Plugins, plugin_of_node
from pluginkit.onnx.model.structure import RE_EXPORT
from pluginkit.onnx.model.weightless_model import skeleton_for_checker, skeleton_for_inference


def new_types(
    scope: Scope, nodes: Sequence[onnx.NodeProto], types: Types, plugins: Plugins
) -> dict[str, onnx.TypeProto]:
    """Return the types of the outputs of new plugin nodes, as far as they follow from the inputs.

    Errors:
        PK111, PK112, PK120, and any error of the plugin's methods: the plugin does not take these
        inputs.  PK424: a type contradicts what is known of the value.
    """
    learned: dict[str, onnx.TypeProto] = {}
    names = {name for name, _, _ in plugins}
    for node in nodes:
        if not names_a_plugin(node.op_type, names):
            continue
        inputs = [learned.get(name) or types.find(scope, name) for name in node.input if name]
        outputs = types.cached_outputs(node, inputs, partial(_output_types, plugins))
        for name, value_type in zip(node.output, outputs, strict=False):
            old = types.find(scope, name)
            if value_type is None:
                continue
            if old is not None and old != value_type:
                value_type = _merged(value_type, old, node)
            learned[name] = value_type
    return learned


def _output_types(
    plugins: Plugins, node: onnx.NodeProto, inputs: Sequence[onnx.TypeProto | None]
) -> list[onnx.TypeProto | None]:
    plugin = plugin_of_node(node, plugins)
    return [] if plugin is None else plugin_output_types(plugin, inputs)


def _merged(new: onnx.TypeProto, old: onnx.TypeProto, node: onnx.NodeProto) -> onnx.TypeProto:
    """Complete the type that the plugin gives by what was known before.

    Errors:
        PK424: the two contradict each other.
    """
    ours, theirs = new.tensor_type, old.tensor_type
    fits = theirs.elem_type in (0, ours.elem_type)
    merged = onnx.TypeProto()
    merged.CopyFrom(new)
    if theirs.HasField("shape"):
        if not ours.HasField("shape"):
            merged.tensor_type.shape.CopyFrom(theirs.shape)
        fits &= len(merged.tensor_type.shape.dim) == len(theirs.shape.dim)
        for dim, known in zip(merged.tensor_type.shape.dim, theirs.shape.dim, strict=False):
            if not dim.WhichOneof("value") and not known.dim_param.startswith("unk__"):
                dim.CopyFrom(known)
            fits &= not (
                dim.HasField("dim_value")
                and known.HasField("dim_value")
                and dim.dim_value != known.dim_value
            )
    if fits:
        return merged
    raise RewriteError(
        "PK424",
        f"{describe(node)}: its plugin says {_text(new)}; the model had {_text(old)}.",
        fix="correct the plugin's output_shapes, or let the rewrite's check() refuse this match.",
    )


def _text(value_type: onnx.TypeProto) -> str:
    tensor = value_type.tensor_type
    dtype = dtype_of_elem_type(tensor.elem_type)
    if not tensor.HasField("shape"):
        return dtype
    return f"{dtype}[{', '.join(str(d.dim_param or d.dim_value or '?') for d in tensor.shape.dim)}]"


def complete_value_info(model: onnx.ModelProto, types: Types, plugins: Plugins) -> None:
    """Write the type of every plugin node's outputs into the value_info of its graph.

    Errors:
        PK424: a plugin does not take the inputs of its node, or contradicts the model's types.
    """
    if not _write_value_info(model, types, plugins):
        # Some inputs come from new ONNX nodes, whose types another inference gives.
        _write_value_info(model, infer_types(model), plugins)


def _write_value_info(model: onnx.ModelProto, types: Types, plugins: Plugins) -> bool:
    """Write what is known; return whether that is everything."""
    names = {name for name, _, _ in plugins}
    is_complete = True
    for scope in scopes(model):
        graph = scope.graph
        nodes = [node for node in graph.node if names_a_plugin(node.op_type, names)]
        if not nodes or isinstance(graph, onnx.FunctionProto):
            continue
        infos = {info.name: info for info in graph.value_info}
        outputs = set(output_names(graph))
        for node in nodes:
            known = {name: types.plugin_output(scope, name) for name in node.output}
            if not all(map(_is_full, known.values())):
                known = _types_of(scope, node, types, plugins)
            for name, value_type in known.items():
                if value_type is None:
                    continue
                if name in outputs:
                    _write_output(scope, name, value_type)
                    continue
                if name not in infos:
                    infos[name] = graph.value_info.add(name=name)
                infos[name].type.CopyFrom(value_type)
            is_complete &= all(map(_is_full, known.values()))
    return is_complete


def _write_output(scope: Scope, name: str, value_type: onnx.TypeProto) -> None:
    """Give the output of a body, which may be declared without a type, the one of its plugin."""
    graph = scope.graph
    if scope.outer is None or not isinstance(graph, onnx.GraphProto):
        return
    for value in graph.output:
        if value.name == name and not value.type.tensor_type.elem_type:
            value.type.CopyFrom(value_type)


def _types_of(
    scope: Scope, node: onnx.NodeProto, types: Types, plugins: Plugins
) -> dict[str, onnx.TypeProto | None]:
    """Return the types of a plugin node's outputs, and remember them; empty for other nodes."""
    try:
        learned = new_types(scope, [node], types, plugins)
        is_plugin = plugin_of_node(node, plugins) is not None
    except PluginkitError as error:
        raise _misfit(scope, node, error) from error
    for name, value_type in learned.items():
        types.set_plugin_output(scope, name, value_type)
    return {name: learned.get(name) for name in node.output} if is_plugin else {}


def _is_full(value_type: onnx.TypeProto | None) -> bool:
    return value_type is not None and value_type.tensor_type.HasField("shape")


def _misfit(scope: Scope, node: onnx.NodeProto, error: PluginkitError) -> RewriteError:
    if isinstance(error, RewriteError):
        error.where = scope.path
        return error
    return RewriteError(
        "PK424",
        f"{describe(node)}: {error.message}",
        where=scope.path,
        cause=error.cause,
        fix=error.fix or "let the rewrite's check() refuse this match.",
    )


def signature_of(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Return a graph of only the inputs and outputs."""
    return onnx.GraphProto(input=graph.input, output=graph.output)


def check_rewritten(
    signature: onnx.GraphProto, original: onnx.ModelProto, rewritten: onnx.ModelProto
) -> None:
    """Run the ONNX checker on the result, with shape inference if the original passes that.

    Args:
        signature: the signature of the original's graph.
        original: the original, or its copy without weights.
        rewritten: the result.

    Errors:
        PK423: the result is invalid, or its inputs and outputs changed.  PK408: the original is
        invalid too, or an input has no shape.
    """
    for kind in ("input", "output"):
        if not _are_kept(getattr(signature, kind), getattr(rewritten.graph, kind)):
            raise RewriteError("PK423", f"the graph's {kind}s changed; expected the original ones.")
    problem = _problem(rewritten, full=True)
    if problem is None:
        return
    _check_input_shapes(signature)
    if _problem(original, full=True) is not None:
        problem = _problem(rewritten, full=False)
        before = _problem(original, full=False)
        if before is not None:
            raise ModelError(
                "PK408",
                "the ONNX checker refuses the model before any rewrite; expected a valid model.",
                cause=before,
                fix="export the model again.",
            )
    if problem is not None:
        raise RewriteError(
            "PK423",
            "the ONNX checker refuses the rewritten model; expected a valid one.",
            cause=problem,
            fix="correct the rewrite that made the node.",
        )


def refuse_contradictions(original: onnx.ModelProto, failure: RewriteError) -> None:
    """Blame a model, not a rewrite that failed on it, if types, shapes or values contradict.

    Args:
        original: the model, or its copy without weights, before any rewrite.
        failure: how the rewrite failed.

    Errors:
        PK408: ONNX's shape inference refuses the model.
    """
    if failure.code not in ("PK421", "PK424"):
        return
    try:
        light = kept_from_crashes(skeleton_for_inference(original))
        onnx.shape_inference.infer_shapes(light, check_type=True, strict_mode=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise ModelError(
            "PK408",
            "ONNX's shape inference refuses the model; expected a valid one.",
            where=failure.where,
            cause=f"{str(error).strip()}\n{failure.message} {failure.cause or ''}",
            fix=RE_EXPORT,
        ) from failure


def _are_kept(before: Sequence[onnx.ValueInfoProto], after: Sequence[onnx.ValueInfoProto]) -> bool:
    """Whether values are the same, or have a type that an engine can have instead.

    A list of maps may become a tensor, integers may become wider, and words numbers.
    """

    def is_kept(old: onnx.ValueInfoProto, new: onnx.ValueInfoProto) -> bool:
        if old == new or old.name != new.name or not new.type.HasField("tensor_type"):
            return old == new
        if old.type.sequence_type.elem_type.HasField("map_type"):
            return True
        types = [dtype_of_elem_type(each.type.tensor_type.elem_type) for each in (old, new)]
        return types == ["string", "int64"] or WIDER_TYPES.get(types[0]) == types[1]

    return len(before) == len(after) and all(map(is_kept, before, after))


def _check_input_shapes(signature: onnx.GraphProto) -> None:
    for value in signature.input:
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            raise ModelError(
                "PK408",
                f"input '{value.name}' has no shape; expected one, of sizes that may be unknown.",
                cause="TensorRT needs the rank of every input.",
                fix="export the model with a rank for each input.",
            )


def _problem(model: onnx.ModelProto, full: bool) -> str | None:
    try:
        light = kept_from_crashes(skeleton_for_checker(model)).SerializeToString()
        onnx.checker.check_model(light, full_check=full)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ValueError,  # also raised for a message that is not UTF-8
        RuntimeError,
        IndexError,  # raised by onnx's own code
    ) as error:
        return str(error)
    return None


def problem_of_node(node: onnx.NodeProto, scope: Scope) -> str | None:
    """Return what the ONNX checker finds wrong with a node, or None."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = onnx.IR_VERSION
    try:
        context.opset_imports = dict(scope.opsets)
        onnx.checker.check_node(node, context)
    except (onnx.checker.ValidationError, ValueError, TypeError) as error:  # beyond 32 bits
        return str(error).partition("\n")[0]
    return None
