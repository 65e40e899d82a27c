"""Convert a model to mixed precision: 16-bit floats where nodes can, casts where types meet.

It is the last pass over a model, after the rewrites: plugin nodes are there by then, and take
16-bit inputs where their classes declare them. Weights in external files are not read: a Cast
follows them, which TensorRT computes once, when it builds.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from pluginkit.errors import UsageError
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.validate_model import (
    check_rewritten,
    complete_value_info,
    signature_of,
)
from pluginkit.onnx.model.graphs import scopes
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.model.weightless_model import skeleton_for_checker
from pluginkit.onnx.precision.precision_options import (
    METADATA_KEY,
    Precision,
    PrecisionReport,
    check_names,
    check_opset,
    precision_of,
)
from pluginkit.onnx.precision.scope_conversion import ConversionContext, ScopeConversion
from pluginkit.onnx.rewriting.export_nodes import ModelNames

#: The first opset whose Cast makes bfloat16.
_HAS_BFLOAT16 = 13


def convert_precision(
    model: onnx.ModelProto, precision: Precision, plugins: Plugins, folder: Path
) -> PrecisionReport:
    """Convert a model in place, and check it.

    Args:
        model: the model, rewritten. Local functions are inlined, since the types of their values
            are known only where they are called.
        precision: the 16-bit type, and what stays in float32.
        plugins: the plugins, by registry key.
        folder: the folder of the model's external data.

    Errors:
        PK460: a name keeps nothing.  PK461: the model has a precision already.  PK463: the opset is
        too old.  PK408: the model is invalid.  PK423, PK424: the result is.  PK440, PK441: the
        model does not run on the given inputs.
    """
    if model.functions:
        model.CopyFrom(inline_functions(model))
    if precision_of(model):
        raise UsageError(
            "PK461",
            f"the model computes in {precision_of(model)} already; expected one in float32.",
            fix="convert the model that it was made from.",
        )
    if precision.dtype == "bfloat16":
        check_opset(model, "bfloat16", _HAS_BFLOAT16)
    check_names(precision, [node for scope in scopes(model) for node in scope.graph.node])
    original = skeleton_for_checker(model)
    complete_value_info(model, infer_types(model), plugins)
    beyond = frozenset[tuple[str, str]]()
    if precision.inputs:
        from pluginkit.onnx.precision.values_beyond import values_beyond  # imports ONNX Runtime

        beyond = values_beyond(model, precision, plugins, folder, precision.inputs)
    context = ConversionContext(precision, infer_types(model), plugins, ModelNames(model), beyond)
    main = ScopeConversion(next(scopes(model)), None, context)
    main.run()
    model.metadata_props.add(key=METADATA_KEY, value=precision.dtype)
    complete_value_info(model, infer_types(model), plugins)
    check_rewritten(signature_of(model.graph), original, model)
    return context.report
