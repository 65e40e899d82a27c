"""Types of plugin nodes, and the proof that a rewritten model is valid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import onnx
import onnx.checker
import onnx.shape_inference

from pluginkit.errors import ModelError, PluginkitError, RewriteError
from pluginkit.onnx.inference.infer_types import infer_types, plugin_output_types
from pluginkit.onnx.inference.value_types import Types, dtype_name
from pluginkit.onnx.model.graphs import Scope, describe, output_names, scopes
from pluginkit.onnx.model.plugin_nodes import Plugins, plugin_of_node
from pluginkit.onnx.model.weightless_model import skeleton_for_checker


def new_types(
    scope: Scope, nodes: Sequence[onnx.NodeProto], types: Types, plugins: Plugins
) -> dict[str, onnx.TypeProto]:
    """The types of what new plugin nodes produce, as far as they follow from what they read.

    Errors:
        PK111, PK112, PK120, and what the plugin's own methods raise: the plugin does not take these
        inputs.
    """
    learned: dict[str, onnx.TypeProto] = {}
    for node in nodes:
        if not any(node.op_type == name for name, _, _ in plugins):
            continue
        inputs = [learned.get(name) or types.find(scope, name) for name in node.input if name]
        outputs = types.remember(node, inputs, partial(_output_types, plugins))
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
    """What the plugin says, completed by what was known of the value before.

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
    dtype = dtype_name(tensor.elem_type)
    if not tensor.HasField("shape"):
        return dtype
    return f"{dtype}[{', '.join(str(d.dim_param or d.dim_value or '?') for d in tensor.shape.dim)}]"


def complete_value_info(model: onnx.ModelProto, types: Types, plugins: Plugins) -> None:
    """Write the type of every plugin node's outputs into the value_info of its graph.

    Errors:
        PK424: a plugin does not take what its node gets, or says something else than the model.
    """
    if not _write_value_info(model, types, plugins):
        # New nodes of ONNX's own stand between: what they produce is known after another inference.
        _write_value_info(model, infer_types(model), plugins)


def _write_value_info(model: onnx.ModelProto, types: Types, plugins: Plugins) -> bool:
    """Write what is known; whether that is everything."""
    names = {name for name, _, _ in plugins}
    is_complete = True
    for scope in scopes(model):
        graph = scope.graph
        nodes = [node for node in graph.node if node.op_type in names]
        if not nodes or isinstance(graph, onnx.FunctionProto):
            continue
        infos = {info.name: info for info in graph.value_info}
        outputs = set(output_names(graph))
        for node in nodes:
            known = {name: types.plugin_output(scope, name) for name in node.output}
            if not all(map(_is_full, known.values())):
                known = _types_of(scope, node, types, plugins)
            for name, value_type in known.items():
                if value_type is None or name in outputs:
                    continue
                if name not in infos:
                    infos[name] = graph.value_info.add(name=name)
                infos[name].type.CopyFrom(value_type)
            is_complete &= all(map(_is_full, known.values()))
    return is_complete


def _types_of(
    scope: Scope, node: onnx.NodeProto, types: Types, plugins: Plugins
) -> dict[str, onnx.TypeProto | None]:
    """The types of a node's outputs, learned on the way; empty when it is no plugin's."""
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
    """A graph with the inputs and outputs alone."""
    return onnx.GraphProto(input=graph.input, output=graph.output)


def check_rewritten(
    signature: onnx.GraphProto, original: onnx.ModelProto, rewritten: onnx.ModelProto
) -> None:
    """Run the ONNX checker on the result; strictly, with shapes, where the original passes that.

    Args:
        signature: that of the original's graph.
        original: the original, or its skeleton for the checker.
        rewritten: the result.

    Errors:
        PK423: the result is invalid, or its inputs and outputs changed.  PK408: the original is
        invalid already.
    """
    for kind in ("input", "output"):
        if getattr(signature, kind) != getattr(rewritten.graph, kind):
            raise RewriteError("PK423", f"the graph's {kind}s changed; expected the original ones.")
    problem = _problem(rewritten, full=True)
    if problem is None:
        return
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


def _problem(model: onnx.ModelProto, full: bool) -> str | None:
    try:
        content = skeleton_for_checker(model).SerializeToString()  # several times as small
        onnx.checker.check_model(content, full_check=full)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ValueError,  # also of the message, where it quotes bytes that are no text
        RuntimeError,
        IndexError,  # of its own vectors
    ) as error:
        return str(error)
    return None


def problem_of_node(node: onnx.NodeProto, scope: Scope) -> str | None:
    """What the ONNX checker has against a node: missing inputs or attributes; None for nothing."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = onnx.IR_VERSION
    try:
        context.opset_imports = dict(scope.opsets)
        onnx.checker.check_node(node, context)
    except (onnx.checker.ValidationError, ValueError, TypeError) as error:  # a version of 64 bits
        return str(error).partition("\n")[0]
    return None
