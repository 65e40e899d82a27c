"""What PyTorch exports of transformers' multi-scale deformable attention, and inputs for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx

_PREFIX = "deformable_attention_"
_FOLDER = Path(__file__).parent / "models"

#: Loads each exported model, by its family and its exporter.
EXPORTED = {
    path.stem.removeprefix(_PREFIX): partial(onnx.load, path)
    for path in sorted(_FOLDER.glob(f"{_PREFIX}*.onnx"))
}


def feeds_for(family: str, items: int = 2, queries: int = 5) -> dict[str, np.ndarray]:
    """Return inputs; some locations are outside."""
    rng = np.random.default_rng(0)
    at = (items, queries, 4, 6) if family == "rt_detr_v2" else (items, queries, 4, 3, 2)
    arrays = {
        "value": rng.normal(size=(items, 64, 4, 8)),
        "locations": rng.uniform(-0.2, 1.2, (*at, 2)),
        "weights": rng.random(at),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}
