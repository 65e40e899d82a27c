"""Samples of operators that ONNX Runtime has for the layers of newer language models."""

from __future__ import annotations

from pluginkit.graph_rewrites.expand_gated_operators import (
    ExpandBranchwiseRMSNorm,
    ExpandEngramGate,
    ExpandGatedAdd,
    ExpandGatedRMSNorm,
    ExpandHyperConnectionPostMix,
    ExpandHyperConnectionPreMix,
    ExpandLinearAttentionGate,
    ExpandScaledSiLU,
)
from tests.graph_rewrites.microsoft_samples import microsoft_sample
from tests.graph_rewrites.samples import Sample, normal


def _gated() -> dict[str, Sample]:
    x, out = normal(2, 3, 32), {"out": ("float32", 3)}
    streams, stacked = {"x": x}, {"out": ("float32", 4)}
    dims, branches = {"x": ("n", 3, 32)}, {"num_branches": 4}
    keys = {name: normal(1, 3, 4, 8) for name in ("key", "query")} | {"value": normal(1, 3, 8)}
    post = {"y": normal(2, 3, 8), "p": normal(2, 3, 4), "m": normal(2, 3, 4, 4)}
    gates = {"a": normal(2, 5, 4), "bias": normal(4), "scale": normal(4)}
    return {
        "scaled silu": microsoft_sample(ExpandScaledSiLU, "ScaledSiLU", streams, out, dims=dims),
        "gated add": microsoft_sample(
            ExpandGatedAdd, "GatedAdd", streams | {"y": x, "gate": normal(2, 3, 1)}, out
        ),
        "gated norm": microsoft_sample(
            ExpandGatedRMSNorm,
            "GatedRMSNorm",
            streams | {"scale": normal(8), "gate": normal(2, 3, 32)},
            out,
            dims=dims,
        ),
        "branches": microsoft_sample(
            ExpandBranchwiseRMSNorm, "BranchwiseRMSNorm", streams, out, dims=dims, **branches
        ),
        "pre mix": microsoft_sample(
            ExpandHyperConnectionPreMix,
            "HyperConnectionPreMix",
            streams | {"mix": normal(2, 3, 4)},
            out,
            **branches,
        ),
        "post mix": microsoft_sample(
            ExpandHyperConnectionPostMix,
            "HyperConnectionPostMix",
            streams | post,
            out,
            **branches,
        ),
        "gates of linear attention": microsoft_sample(
            ExpandLinearAttentionGate, "LinearAttentionGate", gates, out
        ),
        "engram": microsoft_sample(
            ExpandEngramGate, "EngramGate", keys | {n: normal(4, 8) for n in "kq"}, stacked
        ),
    }


FUSED_SAMPLES: dict[str, Sample] = _gated()
