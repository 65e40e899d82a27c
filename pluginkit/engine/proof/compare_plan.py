"""Run a model in ONNX Runtime and its plan in TensorRT on the same inputs, and compare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime

from pluginkit.contract.plugin import Plugins
from pluginkit.engine.plan.manifest import Manifest
from pluginkit.engine.plan.open_engine import OpenEngine, open_engine
from pluginkit.engine.proof.compared_original import ComparedOriginal
from pluginkit.onnx.inference.element_types import WIDER_TYPES
from pluginkit.onnx.model.words import NumberedWords
from pluginkit.onnx.running.compare_models import check_expected
from pluginkit.onnx.running.comparison import Comparison, ShapesComparison
from pluginkit.onnx.running.first_divergence import Divergence, TapsComparison
from pluginkit.onnx.running.output_error import (
    OutputComparison,
    Tolerance,
    compare_arrays,
    tolerance_of,
    worst_of,
)
from pluginkit.quantities import counted

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]

#: The default tolerance for float32. TensorRT may round what it multiplies to TF32, which has as
#: many bits of fraction as float16.
FLOAT32_TOLERANCE = 1e-3


@dataclass(frozen=True)
class PlanRuns:
    """The runs of a model, with which those of its plan are compared.

    Attributes:
        feeds: the inputs of each run, in the types of the model.
        wanted: what the model, or whoever gave it, computed of them.
        inside: the values among these that are marked in the plan, but no outputs of the model.
        computed_by: what computed them.
    """

    feeds: Sequence[Arrays]
    wanted: Sequence[Arrays]
    inside: Sequence[str]
    computed_by: str


def run_original(
    original: ComparedOriginal, manifest: Manifest, feeds: Sequence[Arrays], expected: Arrays | None
) -> PlanRuns:
    """Run the model on every set of inputs.

    Args:
        original: the model.
        manifest: the plan's manifest. What it marks is computed, too, where the model has it.
        feeds: the inputs of each run.
        expected: what the only run gives, where it was computed elsewhere.

    Errors:
        PK440 to PK442, PK448: the model does not run, or the expected outputs are not its own.
    """
    outputs = [tensor.name for tensor in manifest.outputs]
    if expected is not None:
        check_expected(original.model, expected)
        return PlanRuns(feeds, [expected], [], "given outputs")
    marked = [name for name in original.producers if name in {*outputs} - {*original.outputs}]
    wanted = [original.run(one, marked) for one in feeds]
    runtime = f"ONNX Runtime {onnxruntime.__version__} on the CPU, without optimizations"
    if original.substituted:
        known = counted(len(original.substituted), "node")
        runtime += f"; {known} that it does not know by plugins' references"
    return PlanRuns(feeds, wanted, marked, runtime)


def in_plan_types(manifest: Manifest, feeds: Arrays) -> dict[str, Array]:
    """Return inputs in the types of the plan: narrower or wider, or the numbers of words."""
    import ml_dtypes
    import numpy as np

    words = NumberedWords(manifest.words)

    def cast(name: str, array: Array) -> Array:
        array = words.numbered(array)
        dtype = types.get(name, array.dtype.name)
        wanted = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
        return array.astype(wanted) if wanted.kind in "fiV" and array.dtype.kind in "fiu" else array

    types = {tensor.name: tensor.dtype.lower() for tensor in manifest.inputs}
    return {name: cast(name, np.asarray(array)) for name, array in feeds.items()}


def compare_plan(
    original: ComparedOriginal,
    plan_path: Path,
    manifest: Manifest,
    runs: PlanRuns,
    *,
    rtol: Tolerance = None,
    atol: Tolerance = None,
    flavour: str | None = None,
    plugins: Plugins | None = None,
    allow_host_code: bool = False,
    verbose: bool = False,
) -> Comparison:
    """Run a plan with Polygraphy's Comparator, and compare its outputs and marked values.

    Args:
        original: the model.
        plan_path: the plan.
        manifest: its manifest.
        runs: the runs of the model.
        rtol: as for ``compare_models``; by default 1e-3 for float32.
        atol: likewise.
        flavour: the TensorRT; by default the one that built the plan.
        plugins: the plugins that the plan may use.
        allow_host_code: as for ``run_engine``.
        verbose: whether TensorRT's log goes to stderr.

    Errors:
        PK530 to PK534, PK540 to PK543: as for ``run_engine``.
    """
    from pluginkit.trt.callbacks import callback_errors

    feeds = [in_plan_types(manifest, one) for one in runs.feeds]
    opened = open_engine(
        plan_path,
        feeds,
        what="comparing",
        flavour=flavour,
        plugins=plugins,
        allow_host_code=allow_host_code,
        verbose=verbose,
    )
    with callback_errors(), opened as plan:
        got = _run_plan(plan, feeds)
        computed_by = plan.computed_by
    limits, words = [with_default(rtol), with_default(atol)], NumberedWords(manifest.words)
    cases: dict[tuple[tuple[str, tuple[int, ...]], ...], list[OutputComparison]] = {}
    inside: list[OutputComparison] = []
    for one, wanted, found in zip(runs.feeds, runs.wanted, got, strict=True):
        shapes = tuple((name, tuple(array.shape)) for name, array in one.items())
        for value, array in wanted.items():
            error = compare_values(value, words.numbered(array), found[value], *limits)
            (inside if value in runs.inside else cases.setdefault(shapes, [])).append(error)
    compared = [
        ShapesComparison(dict(shapes), list(worst_of(errors).values()))
        for shapes, errors in cases.items()
    ]
    return Comparison(
        list(worst_of(error for case in compared for error in case.outputs).values()),
        compared[-1].inputs,
        len(runs.feeds),
        compared,
        _marked(original, manifest, runs, inside),
        (runs.computed_by, computed_by),
        subject="plan",
    )


def _run_plan(plan: OpenEngine, feeds: Sequence[Arrays]) -> list[Arrays]:
    """Return the outputs of each run."""
    from polygraphy.comparator import Comparator

    got: dict[int, Arrays] = {}
    for profile in dict.fromkeys(plan.profiles):
        numbers = [at for at, one in enumerate(plan.profiles) if one == profile]
        runner = plan.runner(numbers[0])
        results = Comparator.run([runner], data_loader=[dict(feeds[at]) for at in numbers])
        got |= dict(zip(numbers, results[0][1], strict=True))
    return [got[at] for at in range(len(feeds))]


def with_default(given: Tolerance) -> Tolerance:
    """Return a tolerance, with that of a plan for float32 where none is given."""
    if isinstance(given, (int, float)):
        return given
    return {"float32": FLOAT32_TOLERANCE, **(given or {})}


def compare_values(
    name: str, expected: Array, got: Array, rtol: Tolerance, atol: Tolerance
) -> OutputComparison:
    """Compare a value; where the plan has a narrower type, that type's tolerance holds."""
    if got.dtype != expected.dtype and expected.dtype.kind == "f" and got.dtype.kind in "fV":
        rtol, atol = (tolerance_of(got.dtype.name, limit) for limit in (rtol, atol))
        got = got.astype(expected.dtype)
    elif WIDER_TYPES.get(expected.dtype.name) == got.dtype.name:
        expected = expected.astype(got.dtype)
    elif expected.dtype.kind == got.dtype.kind == "i":
        got = got.astype(expected.dtype)
    return compare_arrays(name, expected, got, rtol, atol)


def _marked(
    original: ComparedOriginal,
    manifest: Manifest,
    runs: PlanRuns,
    errors: Sequence[OutputComparison],
) -> TapsComparison | None:
    """Return the comparison of the values that were marked at the build, None without any."""
    if {tensor.name for tensor in manifest.outputs} == {*original.outputs}:
        return None
    worst = worst_of(errors)
    values = [worst[name] for name in runs.inside]
    bad = next((value for value in values if not value.ok), None)
    first = None
    if bad is not None:
        node = original.producers[bad.name]
        read = {name: worst[name] for name in original.read_by(bad.name) if name in worst}
        first = Divergence(bad, node, node, {**read})
    known_names = {*original.outputs, *runs.inside}
    skipped = {
        tensor.name: "the original has no such value"
        for tensor in manifest.outputs
        if tensor.name not in known_names
    }
    return TapsComparison(values, first, skipped, 0.0)
