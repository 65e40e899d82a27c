"""Ask TensorRT's engine inspector about the layers of an engine."""

from __future__ import annotations

import json
from typing import Any


def layers_of(trt: Any, engine: Any) -> list[dict[str, Any]]:
    """Return what the engine inspector says of each layer; its Name at least.

    Args:
        trt: TensorRT's module.
        engine: the ICudaEngine. Only one that was built with the profiling verbosity ``detailed``
            says more than the names.
    """
    json_format = trt.LayerInformationFormat.JSON
    text = engine.create_engine_inspector().get_engine_information(json_format)
    layers = json.loads(text)["Layers"]
    return [layer if isinstance(layer, dict) else {"Name": layer} for layer in layers]
