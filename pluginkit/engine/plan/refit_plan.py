"""Give a plan that was built with ``--refit`` the weights of another model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.current_work import DESERIALIZING, working
from pluginkit.engine.build.rewritten_source import rewritten_source
from pluginkit.engine.parse.parser_log import parser_path
from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy, captured_log, meaningful
from pluginkit.engine.plan.manifest import Manifest, manifest_path, read_manifest
from pluginkit.engine.plan.open_engine import check_here, known_plugins, load_engine
from pluginkit.engine.plan.output_files import check_writable, sha256_of, write_together
from pluginkit.errors import PlanError
from pluginkit.onnx.inference.shape_ranges import ShapeSpec
from pluginkit.trt.flavour import load_flavour
from pluginkit.trt.target import installed_target

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugins
    from pluginkit.onnx.precision.precision_options import Precision, Quantization
    from pluginkit.onnx.rewriting.rewrite import Rewrite
    from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice


def refit_plan(
    plan_path: Path,
    weights: Path,
    output: Path,
    *,
    shapes: Mapping[str, ShapeSpec] | None = None,
    precision: Precision | Quantization | None = None,
    flavour: str | None = None,
    plugins: Plugins | None = None,
    rewrites: Sequence[type[Rewrite]] | None = None,
    choice: RewriteChoice | None = None,
    verbose: bool = False,
) -> Manifest:
    """Load a plan, replace its weights, and save it with its manifest.

    Args:
        plan_path: the plan, built with ``--refit``; its manifest is in the same folder.
        weights: a model like the one that was built, with other weights. It is rewritten, and
            converted to the precision, as a build would do.
        output: the new plan; it may be the old one.
        shapes: the shapes that the plan was built with, since they decide on branches.
        precision: the precision that the plan was built with.
        flavour: the TensorRT; by default the one that built the plan.
        plugins: the plugins that may be used; by default all that are found.
        rewrites: as for ``build_engine``.
        choice: as for ``build_engine``.
        verbose: whether TensorRT's log goes to stderr.

    Errors:
        PK530 to PK534: the plan or its manifest is damaged, or does not fit here.  PK540: no GPU.
        PK4xx: the model.  PK541: TensorRT does not load the plan.  PK544: it cannot be refitted
            with these weights.
    """
    manifest = read_manifest(plan_path)
    trt = load_flavour(flavour or manifest.flavour)
    found = known_plugins(manifest, plugins)
    check_here(plan_path, trt, found, allow_host_code=False, what="refitting")
    for written in (output, manifest_path(output)):
        check_writable(written)
    target = installed_target(trt.name)
    rewritten, _ = rewritten_source(
        weights, shapes or {}, target, precision, plugins=found, rewrites=rewrites, choice=choice
    )
    content = bytes(rewritten.model.SerializeToString())
    bind_polygraphy(trt)
    with captured_log(verbose=verbose) as errors:
        with working(str(trt), DESERIALIZING, plan_path):
            engine = load_engine(plan_path, trt, manifest, found, errors)
        plan = refitted(trt.module, engine, content, weights, errors)
    changed = replace(
        manifest,
        plan_bytes=len(plan),
        plan_sha256=hashlib.sha256(plan).hexdigest(),
        model=weights.name,
        model_sha256=sha256_of(weights),
    )
    write_together({output: plan, manifest_path(output): changed.to_json().encode()})
    return changed


def refitted(trt: Any, engine: Any, model: bytes, path: Path, errors: Sequence[str]) -> bytes:
    """Replace the weights of an engine, and return its plan, which can be refitted again.

    Args:
        trt: TensorRT's module.
        engine: the ICudaEngine.
        model: the model with the new weights, serialized.
        path: its file; external weights are in the same folder.
        errors: what TensorRT has logged.

    Errors:
        PK544: the engine is not refittable, or the model lacks weights or has others.
    """
    from polygraphy.backend.trt import get_trt_logger

    def refusal(cause: str) -> PlanError:
        return PlanError(
            "PK544",
            f"the plan cannot be refitted with the weights of {path}.",
            cause=cause,
            fix="build the plan with --refit, of a model with the same nodes and names, and refit "
            "with the same shapes, rewrites and precision.",
        )

    if not engine.refittable:
        raise refusal("it was built without --refit.")
    refitter = trt.Refitter(engine, get_trt_logger())
    parser = trt.OnnxParserRefitter(refitter, get_trt_logger())
    if not parser.refit_from_bytes(model, parser_path(path)):
        raise refusal("\n".join(_parser_errors(parser)) or meaningful(list(errors)))
    missing = refitter.get_missing_weights()
    if missing:
        raise refusal(f"the model lacks {', '.join(sorted(missing))}.")
    if not refitter.refit_cuda_engine():
        raise refusal(meaningful(list(errors)) or "TensorRT gives no reason.")
    config = engine.create_serialization_config()
    config.set_flag(trt.SerializationFlag.INCLUDE_REFIT)
    return bytes(engine.serialize_with_config(config))


def _parser_errors(parser: Any) -> Iterator[str]:
    for index in range(parser.num_errors):
        yield str(parser.get_error(index).desc())
