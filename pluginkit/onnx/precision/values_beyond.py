"""Find the values of a model that a 16-bit type cannot hold, by running the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx

from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.model.graphs import scopes
from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.precision.measured_values import magnitudes
from pluginkit.onnx.precision.precision_options import Precision
from pluginkit.onnx.running.onnxruntime_session import Array

#: How many times larger than on the given inputs a value may be on others.
_HEADROOM = 4


def values_beyond(
    model: onnx.ModelProto,
    precision: Precision,
    plugins: Plugins,
    folder: Path,
    inputs: Iterable[Mapping[str, Array]],
) -> frozenset[str]:
    """Return the float32 values of the main graph that leave the range of the 16-bit type.

    A value leaves it if one of its numbers is finite and larger than a quarter of the largest that
    the type has, or if all of them that are not 0 are smaller than the smallest that it holds in
    full precision. Values inside bodies are not looked at.

    Args:
        model: the model, rewritten and still in float32.
        precision: the type.
        plugins: the plugins, by registry key.
        folder: the folder of external data.
        inputs: sets of inputs to run the model on.

    Errors:
        PK440, PK441: the model does not run on them.  PK465: they hold NaN.
    """
    main, types = next(scopes(model)), infer_types(model)
    names = [
        name
        for node in model.graph.node
        for name in node.output
        if (found := types.find(main, name)) is not None
        and found.tensor_type.elem_type == onnx.TensorProto.FLOAT
    ]
    return frozenset(
        name
        for name, sizes in magnitudes(model, names, plugins, folder, inputs)
        if _is_beyond(sizes, precision)
    )


def _is_beyond(sizes: Array, precision: Precision) -> bool:
    sizes = sizes[sizes > 0]
    if sizes.size == 0:
        return False
    largest = float(sizes.max())
    return largest > precision.largest / _HEADROOM or largest < precision.smallest
