"""The samples of all rewrites that need no plugin."""

from __future__ import annotations

from tests.graph_rewrites.fused_samples import FUSED_SAMPLES
from tests.graph_rewrites.microsoft_samples import MICROSOFT_SAMPLES
from tests.graph_rewrites.ml_samples import ML_SAMPLES
from tests.graph_rewrites.samples import SAMPLES, Sample

ALL_SAMPLES: dict[str, Sample] = SAMPLES | MICROSOFT_SAMPLES | FUSED_SAMPLES | ML_SAMPLES
