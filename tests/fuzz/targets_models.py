"""Fuzz the code that reads ONNX files: rewriting, comparing, TensorRT's parser, commands."""

from __future__ import annotations

import functools
import random
from pathlib import Path
from typing import Any

from pluginkit import RewriteChoice
from pluginkit.discovery import find_plugins
from pluginkit.engine.scan.scan_model import scan as scan_model
from pluginkit.onnx.model.model_file import load_model, save_model
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.compare_models import compare_models
from tests.fuzz import exported as valid
from tests.fuzz import models, operators
from tests.fuzz.oracle import Sandbox, Violation


@functools.cache
def _plugins() -> Any:
    return find_plugins()


@functools.cache
def _rewrites() -> Any:
    return find_rewrites()


@functools.cache
def _opt_in() -> list[str]:
    return [each.__name__ for each in _rewrites() if each.opt_in]


def rewrite(rng: random.Random, box: Sandbox) -> str:
    """Run load_model, rewrite_model and save_model."""
    _opt_in(), _plugins()
    with box.case(is_inside=rng.random() < 0.5) as folder:
        path = models.write(rng, folder)
        outcome, model = box.call(load_model, path)
        if model is None:
            return outcome
        outcome, result = box.call(
            rewrite_model,
            model,
            _rewrites(),
            choice=RewriteChoice(also=_opt_in()),
            plugins=_plugins(),
        )
        if result is None:
            return outcome
        made = [] if rng.random() < 0.5 else ["new.onnx"]
        return _saved(box, result.model, folder / "new.onnx", path) if made else outcome


def _saved(box: Sandbox, model: Any, path: Path, source: Path) -> str:
    from pluginkit.errors import PluginkitError

    with box.watched(made=[path.name]):
        try:
            save_model(model, path, source)
        except PluginkitError as error:
            return error.code
    return "ok"


def compare(rng: random.Random, box: Sandbox) -> str:
    """Run compare_models, which draws inputs and runs ONNX Runtime and the references."""
    _plugins()
    with box.case(is_inside=rng.random() < 0.5) as folder:
        path = models.write(rng, folder)
        other = path
        if rng.random() < 0.5:
            other = folder / "other.onnx"
            other.write_bytes(models.mutated(rng, folder))
        options: dict[str, Any] = {"plugins": _plugins(), "seed": rng.choice([0, 1, -1, 2**70])}
        if rng.random() < 0.3:
            sizes = [rng.choice(models.NUMBERS) for _ in range(rng.choice([0, 1, 2, 9]))]
            options["shapes"] = {rng.choice(["x", "idx", "nope"]): sizes}
        if rng.random() < 0.3:
            limits = rng.choice(
                [(0, 1), (0.2, 0.3), (-1e300, 1e300), (0, 1e400), (5, 1), (-(2**63), 2**63)]
            )
            options["ranges"] = {rng.choice(["x", "idx", "u"]): limits}
        return box.call(compare_models, path, other, **options)[0]


def parse(rng: random.Random, box: Sandbox) -> str:
    """Build a hostile model, up to the network."""
    with box.case(is_inside=rng.random() < 0.5) as folder:
        return _parsed(box, models.write(rng, folder))


def exported(rng: random.Random, box: Sandbox) -> str:
    """Rewrite a valid model as exporters write it; it must compute the same as before.

    TensorRT-RTX's parser then reads it; a refusal is an outcome, PK520.
    """
    _opt_in(), _plugins()
    made = valid.draw(rng)
    with box.case() as folder:
        path, new = folder / "model.onnx", folder / "new.onnx"
        path.write_bytes(made.model.SerializeToString())
        outcome, result = box.call(_rewritten, path)
        if result is None:
            raise Violation(f"{outcome} for a valid model: {made.name}")
        save_model(result.model, new, path)
        tolerance = {"atol": float(made.units)} if made.units else {}
        options = {"inputs": made.feeds, "plugins": _plugins(), **tolerance}
        outcome, compared = box.call(compare_models, path, new, **options)
        if compared is not None and not compared.ok and made.is_comparable:
            worst = [f"{one.name} {one.max_abs_error}" for one in compared.outputs if not one.ok]
            raise Violation(f"other values: {made.name}: {', '.join(worst)}")
        return f"compare {outcome}" if compared is None else f"parse {_parsed(box, path)}"


def _rewritten(path: Path) -> Any:
    return rewrite_model(load_model(path), _rewrites(), plugins=_plugins())


def operator(rng: random.Random, box: Sandbox) -> str:
    """Build an operator that contradicts its schema, up to the network."""
    with box.case() as folder:
        return _parsed(box, operators.write(rng, folder))


def _parsed(box: Sandbox, path: Path) -> str:
    """Rewrite, register and parse with TensorRT-RTX, as a build does up to the network."""
    from pluginkit.engine.build.build_engine import _Source
    from pluginkit.engine.build.rewritten_source import rewritten_source
    from pluginkit.trt.flavour import load_flavour
    from pluginkit.trt.target import installed_target

    flavour = load_flavour("tensorrt_rtx")
    given = {
        "plugins": _plugins(),
        "rewrites": _rewrites(),
        "choice": RewriteChoice(also=_opt_in()),
    }
    target = installed_target(flavour.name)
    outcome, done = box.call(rewritten_source, path, {}, target, **given)
    return outcome if done is None else box.call(_parse, flavour, _Source(path, *done))[0]


def _parse(flavour: Any, source: Any) -> None:
    from pluginkit.engine.build.model_plugins import check_known
    from pluginkit.engine.build.profiles import resolve_profiles
    from pluginkit.engine.parse.parse_model import parse_model
    from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy, captured_log
    from pluginkit.onnx.inference.network_inputs import inputs_of
    from pluginkit.trt.callbacks import callback_errors
    from pluginkit.trt.plugin_registry import register

    bind_polygraphy(flavour)
    model = source.rewrite.model
    with callback_errors(), captured_log() as errors:
        register(*source.plugins, flavour=flavour)
        check_known(model, source.rewrite.plugins, flavour)
        parsed = parse_model(flavour, model, source.path, errors)
        resolve_profiles(inputs_of(parsed.network), {})


def scan(rng: random.Random, box: Sandbox) -> str:
    """Scan the models above, which runs TensorRT-RTX's parser in a child process."""
    _opt_in(), _plugins()
    choice = RewriteChoice(also=_opt_in())
    options = {"rewrites": _rewrites(), "choice": choice, "plugins": _plugins()}
    with box.case(is_inside=rng.random() < 0.5) as folder:
        path = rng.choice([models, operators]).write(rng, folder)
        outcome, report = box.call(
            scan_model, path, flavour="tensorrt_rtx", build=rng.random() < 0.1, **options
        )
        if report is None or report.is_accepted:
            return outcome
        return f"{len(report.left)} left" if report.left else "problems"


def command(rng: random.Random, box: Sandbox) -> str:
    """Run the commands rewrite, compare and build on hostile models."""
    with box.case() as folder:
        models.write(rng, folder)
        kind = rng.choice(["rewrite", "rewrite", "compare", "build"])
        verbose = ["--json"] if rng.random() < 0.3 else []
        if kind == "rewrite":
            argv = ["rewrite", "model.onnx", *rng.choice([[], ["--dry-run"], ["--explain"]])]
            made = ["model.plugins.onnx"]
        elif kind == "compare":
            argv, made = ["compare", "model.onnx", "model.onnx", "--runs", "2"], []
        else:
            argv = ["build", "model.onnx", "--tensorrt", "tensorrt_rtx"]
            argv += ["--compute-capability", "8.9"]
            made = ["model.plan", "model.plan.json"]
        return f"{kind} {box.command([*argv, *verbose], made)}"
