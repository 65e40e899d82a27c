"""Tell the user of a failed parse or build which nodes are to blame, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.engine.build.builder_words import complaint_in
from pluginkit.engine.parse.known_failures import known_failures
from pluginkit.errors import BuildError, ParseError
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
        error.rewrite = found.rewrite


def explain_refusals(error: ParseError, rewrite: RewriteResult, flavour: str) -> None:
    """Add to the error why rewrites left the nodes that the parser refuses, and a way on."""
    left = [one for one in rewrite.refused if f"'{one.node}'" in (error.cause or "")]
    reasons = [f"{one.rewrite} did not replace '{one.node}': {one.reason}" for one in left]
    known = known_failures(rewrite.model, rewrite.plugins, flavour)
    ways = list(dict.fromkeys(one.reason for one in known))
    error.cause = "\n".join([error.cause or "", *reasons, *ways])
    if ways or any(one.gives_plugin for one in left):  # a plugin that is there needs no second one
        error.fix = "change the model as the cause says."
