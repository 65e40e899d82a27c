"""Measure what fewer bits cost, by running a model before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.precision.precision_options import Array, OutputLoss
from pluginkit.onnx.running.run_model import run_model


def output_losses(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    inputs: Sequence[Mapping[str, Array]],
    plugins: Plugins,
    folder: Path,
) -> list[OutputLoss]:
    """Compare the outputs of two models on all inputs.

    Errors:
        PK440, PK441: a model does not run on them.
    """
    pairs: dict[str, list[tuple[Array, Array]]] = {}
    for feeds in inputs:
        wanted, got = (run_model(m, feeds, plugins, base_dir=folder) for m in (before, after))
        for name, array in wanted.items():
            if array.dtype.kind in "biuf" and array.shape == got[name].shape:
                pairs.setdefault(name, []).append((array.reshape(-1), got[name].reshape(-1)))
    return [
        OutputLoss.between(name, *(np.concatenate(each) for each in zip(*arrays, strict=True)))
        for name, arrays in pairs.items()
    ]
