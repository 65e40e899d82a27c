"""Run the original and the rewritten model on the same inputs and measure the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from pluginkit.errors import ModelError, UsageError
from pluginkit.onnx.inference.annotations import correct_annotations
from pluginkit.onnx.inference.element_types import WIDER_TYPES, dtype_of_elem_type
from pluginkit.onnx.inference.value_types import axis_sizes, dims_of, known_sizes
from pluginkit.onnx.model.graphs import output_names
from pluginkit.onnx.model.model_file import load_model
from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.model.words import NumberedWords, words_of
from pluginkit.onnx.precision.precision_options import precision_of
from pluginkit.onnx.running.comparison import Comparison, ShapesComparison
from pluginkit.onnx.running.custom_nodes import with_custom_nodes_as_plugins
from pluginkit.onnx.running.first_divergence import ComparedModel, InnerValues
from pluginkit.onnx.running.narrow_values import narrow_values
from pluginkit.onnx.running.output_error import (
    Array,
    OutputComparison,
    Tolerance,
    check_tolerance,
    compare_arrays,
    worst_of,
)
from pluginkit.onnx.running.random_inputs import InputShapes, draw_inputs
from pluginkit.onnx.running.run_limit import run_limit
from pluginkit.onnx.running.run_model import ExecutePlugin

__all__ = ["Comparison", "OutputComparison", "ShapesComparison", "compare_arrays", "compare_models"]


def compare_models(
    original: str | Path,
    rewritten: str | Path,
    *,
    inputs: Mapping[str, Array] | None = None,
    expected: Mapping[str, Array] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    shapes: InputShapes | Sequence[InputShapes] | None = None,
    runs: int = 1,
    seed: int = 0,
    rtol: Tolerance = None,
    atol: Tolerance = None,
    limit_s: float | None = 600.0,
    taps: bool = False,
    use_gpu: bool = False,
    use_machine: bool = False,
    plugins: Plugins | None = None,
) -> Comparison:
    """Run the original in ONNX Runtime, the rewritten model with its plugins, on the same inputs.

    A node of the original that ONNX Runtime does not know is computed by the reference of the
    plugin that replaced it, so that the comparison says nothing about this node itself.

    An element agrees if ``|a - b| <= atol + rtol * |a|``, or if both are the same infinity or NaN.
    Float32 has the tolerance of a 16-bit type where ``pluginkit rewrite --precision`` has put that
    into the rewritten model, and where a value of the original is made of values of that type, as
    in a model that was converted to float16 but for its outputs.

    Args:
        original: the ONNX file that ONNX Runtime runs.
        rewritten: the ONNX file with plugin nodes.
        inputs: an array for each graph input; drawn when None.
        expected: an array for each graph output, computed elsewhere from ``inputs``; the original
            then does not run.
        ranges: as in ``draw_inputs``.
        shapes: as in ``draw_inputs``, or several of these to run one after the other, as the
            minimum, optimum and maximum of a profile.
        runs: how often to draw and run, with each set of shapes.
        seed: the seed of the first run; each further run uses the next number.
        rtol: the relative tolerance, one for all dtypes or by dtype; by default 1e-5 for
            float32 and float64 (which TensorRT computes in float32), 1e-2 for float16, 8e-2 for
            bfloat16; anything else is exact.
        atol: the absolute tolerance; likewise.
        limit_s: how many seconds each loop, and each piece of a model in ONNX Runtime, may run;
            None for any number.
        taps: whether to compare the values inside the models too, to find the first that differs.
        use_gpu: whether plugin nodes run their kernels on the GPU instead of their numpy reference.
        use_machine: whether they run their kernels on the PTX machine, which needs no GPU.
        plugins: the plugin classes by registry key; by default all that discovery finds.

    Errors:
        PK443: the models' inputs or outputs differ.  PK440 to PK445: a model does not run, or
        inputs do not fit.  PK448: the expected outputs are not those of the model.  PK456: a
        tolerance is not a number of 0 or more.  PK467: a run did not end in time.  PK351, PK356,
        PK358: the PTX machine cannot run a kernel, or finds something wrong with it.
    """
    original, rewritten = Path(original), Path(rewritten)
    check_tolerance("rtol", rtol)
    check_tolerance("atol", atol)
    if runs < 1:
        raise UsageError("PK444", f"runs is {runs}; expected at least 1.")
    if expected is not None and (inputs is None or taps):
        raise UsageError(
            "PK444", "expected needs the inputs that it was computed from, and excludes taps."
        )
    execute = _execute(use_gpu, use_machine)
    sides, substituted = _sides(original, rewritten, plugins, execute)
    if expected is not None and inputs is not None:
        inputs, expected = split_given(sides[0].model.graph, inputs, expected)
        check_expected(sides[0].model, expected)
    inside = InnerValues(*sides) if taps else None
    cases: list[ShapesComparison] = []
    sets = [shapes] if shapes is None or isinstance(shapes, Mapping) else list(shapes)
    if not sets:
        raise UsageError("PK444", "shapes is empty; expected at least one set of shapes.")
    for number, each in enumerate(sets):
        found: list[OutputComparison] = []
        feeds: Mapping[str, Array] = {} if inputs is None else inputs
        for run in range(runs):
            draw = number * runs + run
            if inputs is None:
                feeds = draw_inputs(
                    original,
                    shapes=each,
                    ranges=ranges,
                    seed=seed + draw,
                    model=sides[0].model,
                    plugins=sides[0].plugins,
                )
            with run_limit(limit_s):
                wanted = sides[0].run(feeds, None) if expected is None else expected
                got = sides[1].run(feeds, None)
                found += (
                    sides[1].compare(name, wanted[name], array, rtol, atol)
                    for name, array in got.items()
                )
                if inside is not None:
                    inside.run(feeds, wanted, rtol, atol)
        drawn = {name: tuple(np.shape(array)) for name, array in feeds.items()}
        cases.append(ShapesComparison(drawn, list(worst_of(found).values())))
    return Comparison(
        list(worst_of(output for case in cases for output in case.outputs).values()),
        cases[-1].inputs,
        runs * len(cases),
        cases,
        inside.result() if inside is not None else None,
        _computed_by(expected is not None, use_gpu, use_machine),
        [] if expected is not None else substituted,
    )


def _computed_by(is_given: bool, use_gpu: bool, use_machine: bool) -> tuple[str, str]:
    """Return what computed the original, and what the rewritten model."""
    runtime = f"ONNX Runtime {onnxruntime.__version__} on the CPU, without optimizations"
    plugins = "kernels on the PTX machine" if use_machine else "numpy references"
    plugins = "kernels on the GPU" if use_gpu else plugins
    return "given outputs" if is_given else runtime, f"plugins by their {plugins}, else {runtime}"


def split_given(
    graph: onnx.GraphProto, inputs: Mapping[str, Array], expected: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Leave outputs out of the inputs and inputs out of the outputs: one file may hold both."""
    given, computed = {value.name for value in graph.input}, set(output_names(graph))
    return (
        {name: array for name, array in inputs.items() if name not in computed - given},
        {name: array for name, array in expected.items() if name not in given - computed},
    )


def check_expected(original: onnx.ModelProto, expected: Mapping[str, Array]) -> None:
    """Check that arrays are the outputs of a model.

    Errors:
        PK448: one is missing or unknown.
    """
    names = output_names(original.graph)
    missing = [name for name in names if name not in expected]
    unknown = [name for name in expected if name not in names]
    if missing or unknown:
        name, problem = (missing[0], "missing") if missing else (unknown[0], "unknown")
        raise UsageError(
            "PK448",
            f"expected output '{name}' is {problem}; the model has {', '.join(names)}.",
            fix="name the arrays like the model's outputs: numpy.savez('golden.npz', y=...).",
        )


def _sides(
    original: Path, rewritten: Path, plugins: Plugins | None, execute: ExecutePlugin | None
) -> tuple[tuple[ComparedModel, ComparedModel], list[str]]:
    """Return both models, and the original's nodes that plugins compute."""
    before, after = load_model(original), load_model(rewritten)
    correct_annotations(before)  # as a rewrite did with those of the other model
    _check_signatures(before, after)
    _fix_sizes_like(before, after)
    if plugins is None:
        from pluginkit.discovery import find_plugins

        plugins = find_plugins()
    narrow = narrow_values(before)
    before, substituted = with_custom_nodes_as_plugins(before, after, plugins)
    return (
        ComparedModel(before, original.parent, plugins if substituted else {}),
        ComparedModel(
            after,
            rewritten.parent,
            plugins,
            execute,
            precision_of(after),
            NumberedWords(words_of(after)),
            narrow,
        ),
    ), substituted


def _fix_sizes_like(original: onnx.ModelProto, rewritten: onnx.ModelProto) -> None:
    """Fix the sizes of the original's inputs that a rewrite for given shapes has fixed."""
    for one, other in zip(original.graph.input, rewritten.graph.input, strict=True):
        for dim, fixed in zip(dims_of(one.type) or (), dims_of(other.type) or (), strict=False):
            if fixed.HasField("dim_value") and not dim.HasField("dim_value"):
                dim.dim_value = fixed.dim_value


def _execute(use_gpu: bool, use_machine: bool) -> ExecutePlugin | None:
    """Return what computes plugin nodes, None for their references."""
    if use_gpu:
        from pluginkit.device.run_kernels import run_kernels
        from pluginkit.kernels.load import current_device

        current_device()  # says what is missing before anything runs
        return run_kernels
    if use_machine:
        from pluginkit.device.ptx_run import run_sound_kernels

        return run_sound_kernels
    return None


def _check_signatures(original: onnx.ModelProto, rewritten: onnx.ModelProto) -> None:
    for kind in ("input", "output"):
        before, after = (getattr(model.graph, kind) for model in (original, rewritten))
        narrow, is_input = precision_of(rewritten), kind == "input"
        fits = len(before) == len(after) and all(
            _fits(*each, narrow, is_input) for each in zip(before, after, strict=True)
        )
        before, after = (list(map(_signature, values)) for values in (before, after))
        if not fits:
            raise ModelError(
                "PK443",
                f"the models' {kind}s differ: {', '.join(after)}; expected {', '.join(before)}.",
                fix="compare a model with its own rewritten form.",
            )


def _holds_maps(value: onnx.ValueInfoProto) -> bool:
    """Whether a value is a list of maps, which a rewrite makes a tensor of."""
    return bool(value.type.sequence_type.elem_type.HasField("map_type"))


def _fits(
    one: onnx.ValueInfoProto, other: onnx.ValueInfoProto, narrow: str, is_input: bool
) -> bool:
    """Whether a value of the original, and the rewritten one, have one name, type and shape.

    The rewritten one may have the 16-bit type ``narrow``, if there is one, a wider integer, or
    numbers of words. The shape of an output may follow from a branch, which the rewritten model has
    taken: it is compared in each run.
    """
    if _holds_maps(one):
        return one.name == other.name
    left, right = one.type.tensor_type, other.type.tensor_type
    types = dtype_of_elem_type(left.elem_type), dtype_of_elem_type(right.elem_type)
    has_same_type = types[1] in (types[0], WIDER_TYPES.get(types[0])) or types in (
        ("float32", narrow),
        ("string", "int64"),
    )
    return (
        one.name == other.name
        and has_same_type
        and (not is_input or _have_one_shape(one.type, other.type))
    )


def _have_one_shape(one: onnx.TypeProto, other: onnx.TypeProto) -> bool:
    """Whether the ranks, and the sizes of each axis, are equal as far as both are known."""
    if dims_of(one) is None or dims_of(other) is None:
        return True
    shapes = known_sizes(one) or [], known_sizes(other) or []
    return len(shapes[0]) == len(shapes[1]) and all(
        a == b or not a or not b  # some exporters write 0 for what is not known
        for a, b in zip(*shapes, strict=True)
    )


def _signature(value: onnx.ValueInfoProto) -> str:
    sizes = axis_sizes(value.type)
    shape = "of any rank" if sizes is None else f"({', '.join(str(one or '?') for one in sizes)})"
    return f"{value.name} {dtype_of_elem_type(value.type.tensor_type.elem_type)} {shape}"
