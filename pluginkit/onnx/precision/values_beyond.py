"""Find the values of a model that a 16-bit type cannot hold, by running the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx

from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.precision.body_magnitudes import ValueKey
from pluginkit.onnx.precision.measured_values import float32_values, magnitudes
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
) -> frozenset[ValueKey]:
    """Return the float32 values, also inside bodies, that leave the range of the 16-bit type.

    A value leaves it if one of its numbers is finite and larger than a quarter of the largest that
    the type has, or if all of them that are not 0 are smaller than the smallest that it holds in
    full precision.

    Args:
        model: the model, rewritten and still in float32.
        precision: the type.
        plugins: the plugins, by registry key.
        folder: the folder of external data.
        inputs: sets of inputs to run the model on.

    Errors:
        PK440, PK441, PK463, PK465: as for ``magnitudes``.
    """
    largest = magnitudes(model, float32_values(model), plugins, folder, inputs)
    return frozenset(key for key, size in largest.items() if _is_beyond(size, precision))


def _is_beyond(largest: float, precision: Precision) -> bool:
    is_too_large = largest > precision.largest / _HEADROOM
    return is_too_large or 0 < largest < precision.smallest
