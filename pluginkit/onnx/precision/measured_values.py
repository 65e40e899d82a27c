"""Run a model on given inputs, and look at values inside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from pluginkit.errors import UsageError
from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.precision.precision_options import Array
from pluginkit.onnx.running.run_model import run_model

#: Values that are looked at in one run, to bound the memory.
_AT_ONCE = 512


def magnitudes(
    model: onnx.ModelProto,
    names: Sequence[str],
    plugins: Plugins,
    folder: Path,
    inputs: Iterable[Mapping[str, Array]],
) -> Iterator[tuple[str, Array]]:
    """Yield the finite magnitudes of each named value of the main graph, on each set of inputs.

    Errors:
        PK440, PK441: the model does not run on them.  PK465: they hold NaN.
    """
    for feeds in inputs:
        _refuse_nan(feeds)
        for start in range(0, max(len(names), 1), _AT_ONCE):  # once at least, to check the inputs
            some = names[start : start + _AT_ONCE]
            taps = [name for name in some if name not in feeds]
            values = {**feeds, **run_model(model, feeds, plugins, base_dir=folder, taps=taps)}
            for name in some:
                yield name, np.abs(values[name][np.isfinite(values[name])])


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
