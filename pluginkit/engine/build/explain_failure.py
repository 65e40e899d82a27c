"""Tell the user of a failed parse or build which nodes are to blame, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from pluginkit.engine.build.builder_words import complaint_in
from pluginkit.engine.parse.known_failures import (
    WIDER_TYPES,
    known_failures,
    onnxruntime_only,
)
from pluginkit.errors import BuildError, ParseError
from pluginkit.onnx.inference.element_types import dtype_of_elem_type
from pluginkit.trt.flavour import Flavour

if TYPE_CHECKING:
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult


def explain_failure(error: BuildError, rewrite: RewriteResult, flavour: Flavour) -> None:
    """Add to the error which nodes do not build, as far as is known, why, and a way on."""
    known = list(known_failures(rewrite.model, rewrite.plugins, flavour.name, likely=True))
    if known:
        error.where = ", ".join(dict.fromkeys(f"{one.where}, node {one.node}" for one in known))
        reasons = list(dict.fromkeys(one.reason for one in known))
        error.cause = "\n".join([*reasons, f"TensorRT said: {error.cause}"])
        error.fix = "change the model as the cause says."
        return
    found = complaint_in(error.cause or "", rewrite.model, rewrite.plugins)
    if found is not None:
        error.where = found.where or error.where
        error.cause = f"{found.cause}\nTensorRT said: {error.cause}" if found.cause else error.cause
        error.fix = found.fix or error.fix


def explain_refusals(error: ParseError, rewrite: RewriteResult) -> None:
    """Add to the error why rewrites left the nodes that the parser refuses.

    Types that no engine takes or gives are named first: the casts from and to them are pluginkit's.
    """
    _explain_signature(error, rewrite)
    reasons = [
        f"{one.rewrite} did not replace '{one.node}': {one.reason}"
        for one in rewrite.refused
        if f"'{one.node}'" in (error.cause or "")
    ]
    reasons += dict.fromkeys(filter(None, map(onnxruntime_only, rewrite.model.graph.node)))
    error.cause = "\n".join([error.cause or "", *reasons])


def _explain_signature(error: ParseError, rewrite: RewriteResult) -> None:
    graph = rewrite.model.graph
    stored = {tensor.name for tensor in graph.initializer}
    named = [("input", value) for value in graph.input if value.name not in stored]
    named += [("output", value) for value in graph.output]
    found = [pair for pair in named if pair[1].type.tensor_type.elem_type in WIDER_TYPES]
    if not found:
        return
    kind, value = found[0]
    elem_type = value.type.tensor_type.elem_type
    others = f", and {len(found) - 1} more like it" if len(found) > 1 else ""
    error.message = (
        f"{kind} '{value.name}' is {dtype_of_elem_type(elem_type)}, which no engine has as an "
        f"{kind}{others}; expected {WIDER_TYPES[elem_type]}."
    )
    limit = " below 2**63" if elem_type == onnx.TensorProto.UINT64 else ""
    wide = WIDER_TYPES[elem_type]
    cast = dtype_of_elem_type(elem_type) if kind == "input" else wide
    error.fix = (
        f"declare it as {wide}, which holds its values{limit}, and cast to {cast} inside "
        "the model; pluginkit computes in the wider type there."
    )
