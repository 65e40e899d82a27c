"""Put the precision that a user asks for into a model."""

from __future__ import annotations

from pathlib import Path

import onnx

from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.precision.precision_options import Precision, PrecisionReport, Quantization


def apply_precision(
    model: onnx.ModelProto, wanted: Precision | Quantization, plugins: Plugins, folder: Path
) -> PrecisionReport:
    """Convert or quantize a rewritten model in place.

    Errors:
        The same as for ``convert_precision`` and ``quantize_model``.
    """
    if isinstance(wanted, Quantization):
        from pluginkit.onnx.precision.quantize_model import quantize_model

        return quantize_model(model, wanted, plugins, folder)
    from pluginkit.onnx.precision.convert_precision import convert_precision

    return convert_precision(model, wanted, plugins, folder)
