"""Runs the original and the rewritten model on the same inputs and measures the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from pluginkit.errors import ModelError, UsageError
from pluginkit.onnx.draw import draw_inputs
from pluginkit.onnx.execute import run_model, run_onnxruntime
from pluginkit.onnx.model import load_model
from pluginkit.onnx.nodes import Plugins
from pluginkit.onnx.value_types import dtype_name

Array = npt.NDArray[Any]

#: The tolerance, relative and absolute, of each floating-point dtype; any other dtype must be
#: equal.
TOLERANCES = {"float64": 1e-9, "float32": 1e-5, "float16": 1e-2, "bfloat16": 8e-2}


@dataclass(frozen=True)
class OutputComparison:
    """One graph output of the two models, the worst of all runs.

    Attributes:
        name, dtype, shape: of the output, the shape from the last run.
        max_abs_error: the largest difference; infinite where NaN, Inf or the shapes disagree.
        max_rel_error: the largest difference over the original's value.
        mismatches: how many elements are out of tolerance.
        ok: whether there are none.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    max_abs_error: float
    max_rel_error: float
    mismatches: int

    @property
    def ok(self) -> bool:
        """Whether every element is within tolerance."""
        return self.mismatches == 0


@dataclass(frozen=True)
class Comparison:
    """What compare_models found.

    Attributes:
        outputs: one entry for each graph output.
        inputs: the shape of each input in the last run.
        runs: how often both models ran.
        ok: whether every output agrees.
    """

    outputs: list[OutputComparison]
    inputs: dict[str, tuple[int, ...]]
    runs: int

    @property
    def ok(self) -> bool:
        """Whether every output agrees."""
        return all(output.ok for output in self.outputs)


def compare_models(
    original: str | Path,
    rewritten: str | Path,
    *,
    inputs: Mapping[str, Array] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    runs: int = 1,
    seed: int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    use_gpu: bool = False,
    plugins: Plugins | None = None,
) -> Comparison:
    """Run the original in ONNX Runtime, the rewritten model with its plugins, on the same inputs.

    An element agrees when ``|a - b| <= atol + rtol * |a|``, and NaN and infinities are at the same
    places.

    Args:
        original: the ONNX file that runs as it is.
        rewritten: the ONNX file with plugin nodes.
        inputs: an array for each graph input; drawn when None.
        ranges: as in ``draw_inputs``.
        shapes: as in ``draw_inputs``.
        runs: how often to draw and run.
        seed: that of the first draw; each run has the next one.
        rtol: the relative tolerance; by dtype when None: float32 1e-5, float16 1e-2, bfloat16 8e-2,
            integers exact.
        atol: the absolute tolerance; likewise.
        use_gpu: whether plugin nodes run their kernels on the GPU instead of their numpy reference.
        plugins: the plugin classes by registry key; all that discovery finds when None.

    Errors:
        PK443: the models' inputs or outputs differ.  PK440 to PK445: a model does not run, or
        inputs do not fit.
    """
    original, rewritten = Path(original), Path(rewritten)
    before, after = load_model(original), load_model(rewritten)
    _check_signatures(before, after)
    if plugins is None:
        from pluginkit.discovery import find_plugins

        plugins = find_plugins()
    execute = None
    if use_gpu:
        from pluginkit.onnx.device import run_kernels

        execute = run_kernels
    if runs < 1:
        raise UsageError("PK444", f"runs is {runs}; expected at least 1.")
    worst: dict[str, OutputComparison] = {}
    feeds: Mapping[str, Array] = {}
    for run in range(runs):
        feeds = inputs or draw_inputs(original, shapes=shapes, ranges=ranges, seed=seed + run)
        expected = run_onnxruntime(original, feeds)
        got = run_model(after, feeds, plugins, base_dir=rewritten.parent, execute_plugin=execute)
        for name, array in expected.items():
            result = compare_arrays(name, array, got[name], rtol, atol)
            worst[name] = _worse(worst.get(name), result)
    shapes_run = {name: tuple(np.shape(array)) for name, array in feeds.items()}
    return Comparison(list(worst.values()), shapes_run, runs)


def _check_signatures(original: onnx.ModelProto, rewritten: onnx.ModelProto) -> None:
    for kind in ("input", "output"):
        before, after = (
            [_signature(value) for value in getattr(model.graph, kind)]
            for model in (original, rewritten)
        )
        if before != after:
            raise ModelError(
                "PK443",
                f"the models' {kind}s differ: {', '.join(after)}; expected {', '.join(before)}.",
                fix="compare a model with its own rewritten form.",
            )


def _signature(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    dtype = dtype_name(tensor.elem_type)
    return (
        f"{value.name} {dtype}, rank {len(tensor.shape.dim) if tensor.HasField('shape') else '?'}"
    )


def compare_arrays(
    name: str, expected: Array, got: Array, rtol: float | None = None, atol: float | None = None
) -> OutputComparison:
    """Compare one output.

    Args:
        name: its name.
        expected: what the original gave.
        got: what the rewritten model gave.
        rtol: the relative tolerance, by the dtype of ``expected`` when None.
        atol: the absolute tolerance, likewise.
    """
    dtype = expected.dtype.name
    if expected.shape != got.shape or expected.dtype != got.dtype:
        worst = float("inf")
        return OutputComparison(name, dtype, expected.shape, worst, worst, max(expected.size, 1))
    rtol = TOLERANCES.get(dtype, 0.0) if rtol is None else rtol
    atol = TOLERANCES.get(dtype, 0.0) if atol is None else atol
    if dtype not in TOLERANCES and expected.dtype.kind not in "iu":
        mismatches = int(np.count_nonzero(expected != got))
        error = float("inf") if mismatches else 0.0
        return OutputComparison(name, dtype, expected.shape, error, error, mismatches)
    wide = np.float64 if dtype in TOLERANCES else np.longdouble  # which holds every int64 exactly
    a: Array = expected.astype(wide)
    b: Array = got.astype(wide)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        is_same = (a == b) | (np.isnan(a) & np.isnan(b))
        absolute = np.where(is_same, 0, np.abs(a - b))
        absolute = np.where(np.isfinite(a) & np.isfinite(b) | is_same, absolute, np.inf)
        relative = np.where(absolute == 0, 0, absolute / np.abs(a))
        is_close = is_same | (np.isfinite(absolute) & (absolute <= atol + rtol * np.abs(a)))
    return OutputComparison(
        name,
        dtype,
        expected.shape,
        float(absolute.max(initial=0)),
        float(relative.max(initial=0)),
        int(np.count_nonzero(~is_close)),
    )


def _worse(first: OutputComparison | None, second: OutputComparison) -> OutputComparison:
    if first is None:
        return second
    return OutputComparison(
        second.name,
        second.dtype,
        second.shape,
        max(first.max_abs_error, second.max_abs_error),
        max(first.max_rel_error, second.max_rel_error),
        first.mismatches + second.mismatches,
    )
