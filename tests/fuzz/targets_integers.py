"""Valid models of integers that TensorRT lacks: rewritten, compared and built."""

from __future__ import annotations

import functools
import json
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from pluginkit.discovery import find_plugins
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.fuzz import integer_models
from tests.fuzz.node_by_node import run_in_onnxruntime, run_node_by_node
from tests.fuzz.oracle import Sandbox, Violation


@functools.cache
def _found() -> dict[str, Any]:
    return {"rewrites": find_rewrites(), "plugins": find_plugins()}


def integers(rng: random.Random, box: Sandbox) -> str:
    """Rewrite a model, which must be valid, final and right; build some of the small ones."""
    depth = rng.choice([1, 1, 2])
    case = integer_models.make(rng, depth)
    _found()
    with box.case() as folder:
        outcome, result = box.call(rewrite_model, case.model, **_found())
        if result is None:
            raise Violation(f"a valid model is refused: {outcome}")
        truth = check_rewritten(case, result)
        if depth > 1 or rng.random() < 0.75:
            return truth
        path = folder / "model.onnx"
        onnx.save(case.model, path)
        return build(case, path)


def check_rewritten(case: integer_models.Case, result: Any) -> str:
    """Check that a rewritten model is valid and final, and computes the same.

    Returns:
        What computed the expected outputs: "onnxruntime", or "node by node" if that lacks an
        operator or is wrong itself, as it is about an output of a body that occurs twice.
    """
    onnx.checker.check_model(result.model, full_check=True)
    again = rewrite_model(result.model, **_found())
    if again.applied or again.model != result.model:
        raise Violation(f"applied twice: {[(one.rewrite, one.node) for one in again.applied]}")
    try:
        expected = run_in_onnxruntime(case.model, case.feeds)
        got = _run(result, case.feeds)
        if _same(expected, got):
            return "onnxruntime"
    except Exception as error:
        if "NOT_IMPLEMENTED" not in str(error) and "Non-zero status" not in str(error):
            raise
    expected = run_node_by_node(case.model, case.feeds)
    got = _run(result, case.feeds)
    if not _same(expected, got):
        got = run_node_by_node(result.model, case.feeds)
    if not _same(expected, got):
        raise Violation(f"wrong: {expected} became {got}")
    return "node by node"


def _run(result: Any, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return list(run_model(result.model, feeds, result.plugins, base_dir=Path()).values())


def _same(expected: list[np.ndarray], got: list[np.ndarray]) -> bool:
    return all(
        one.dtype == other.dtype and np.array_equal(one, other)
        for one, other in zip(expected, got, strict=True)
    )


def build(case: integer_models.Case, path: Path) -> str:
    """Build an engine; return "also in int32" if TensorRT does not build that one either.

    The command does that in processes of its own.
    """
    error = _build_error(path)
    if error is None:
        return "built"
    twin = path.with_name("int32.onnx")
    onnx.save(integer_models.in_int32(case.model), twin)
    other = _build_error(twin)
    if other is not None and error["code"] == other["code"] in ("PK521", "PK527"):
        return "also in int32"
    raise Violation(f"not built: {error}")


def _build_error(path: Path) -> dict[str, str] | None:
    """Build a model; return the fields of the error, or None."""
    command = [sys.executable, "-m", "pluginkit", "build", str(path), "--json"]
    done = subprocess.run(  # this interpreter, a module of ours
        [*command, "--tensorrt", "tensorrt_rtx", "--compute-capability", "8.9"],
        capture_output=True,
        check=False,
    )
    error: dict[str, str] | None = json.loads(done.stdout).get("error")
    return error
