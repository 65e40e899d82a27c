"""Run a model on given inputs, and measure how large the values inside it become."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx

from pluginkit.errors import UsageError
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.model.graphs import MAIN_GRAPH, Scope, inner_scopes, main_and_bodies
from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.precision.body_magnitudes import (
    HAS_WHERE,
    WITH_BODIES,
    ValueKey,
    with_body_magnitudes,
)
from pluginkit.onnx.precision.precision_options import Array, check_opset
from pluginkit.onnx.running.run_model import run_model

#: Values that are looked at in one run, to bound the memory.
_AT_ONCE = 512


def float32_values(model: onnx.ModelProto) -> set[ValueKey]:
    """Return the float32 values that are given to, or computed in, the main graph and bodies."""
    types = infer_types(model)
    found = set()
    for scope in _measurable(next(main_and_bodies(model))):
        graph = scope.graph
        stored = {tensor.name for tensor in graph.initializer}
        made = {name for node in graph.node if node.op_type != "Constant" for name in node.output}
        for name in ({value.name for value in graph.input} | made) - stored - {""}:
            known = types.find(scope, name)
            if known is not None and known.tensor_type.elem_type == onnx.TensorProto.FLOAT:
                found.add((scope.path, name))
    return found


def _measurable(scope: Scope) -> Iterator[Scope]:
    """Yield a graph, and the bodies in it that can hand numbers out."""
    yield scope
    for node, inner in inner_scopes(scope):
        if node.op_type in WITH_BODIES:
            for _, body in inner:
                yield from _measurable(body)


def magnitudes(
    model: onnx.ModelProto,
    wanted: Collection[ValueKey],
    plugins: Plugins,
    folder: Path,
    inputs: Iterable[Mapping[str, Array]],
) -> dict[ValueKey, float]:
    """Return the largest finite magnitude of values on all sets of inputs; 0 if there is none.

    Errors:
        PK440, PK441: the model does not run on them.  PK463: its opset is too old to look into
        bodies.  PK465: they hold NaN.
    """
    inside = {key for key in wanted if key[0] != MAIN_GRAPH}
    scalars: dict[str, ValueKey] = {}
    if inside:
        check_opset(model, "to look at values inside bodies", HAS_WHERE)
        model, scalars = with_body_magnitudes(model, inside)
    keys = {**scalars, **{name: (path, name) for path, name in wanted if path == MAIN_GRAPH}}
    found = dict.fromkeys(wanted, 0.0)
    names = sorted(keys)
    for feeds in inputs:
        _refuse_nan(feeds)
        for start in range(0, max(len(names), 1), _AT_ONCE):  # once at least, to check the inputs
            some = names[start : start + _AT_ONCE]
            taps = [name for name in some if name not in feeds]
            values = {**feeds, **run_model(model, feeds, plugins, base_dir=folder, taps=taps)}
            for name in some:
                sizes = np.abs(values[name][np.isfinite(values[name])])
                key = keys[name]
                found[key] = max(found[key], float(sizes.max(initial=0)))
    return found


def _refuse_nan(inputs: Mapping[str, Array]) -> None:
    """Refuse inputs that say nothing of a model's values.

    Errors:
        PK465: one has NaN among its numbers.
    """
    for name, array in inputs.items():
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise UsageError(
                "PK465",
                f"input '{name}' holds NaN; expected numbers, whose ranges and loss are measured.",
                fix="give inputs like those that the model will get.",
            )
