"""Inputs of GroupQueryAttention, as ONNX Runtime's exporters of language models give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.graph_rewrites.microsoft import Inputs
from tests.graph_rewrites.samples import normal


def grouped_attention(
    length: int,
    past: int | None,
    totals: Sequence[int],
    *,
    heads: tuple[int, int] = (4, 2),
    size: int = 16,
    rotated: int | None = None,
    is_packed: bool = False,
    dtype: str = "float32",
    more: Inputs | None = None,
    **attributes: object,
) -> tuple[Inputs, dict[str, Any]]:
    """Return inputs, and the other arguments of microsoft_model.

    Args:
        length: the number of new elements.
        past: the length of the past; None for none.
        totals: how many keys each row has with the new ones.
        heads: how many heads the queries have, and how many the keys.
        size: that of a head.
        rotated: how many elements of a head are rotated; None for all.
        is_packed: whether keys and values follow the queries in one tensor.
        dtype: the type of all values.
        more: the inputs after the tables, by the order of the operator.
        attributes: further attributes.
    """
    batch, (queries, keys) = len(totals), heads
    new = [normal(batch, length, count * size) for count in (queries, keys, keys)]
    inputs: dict[str, np.ndarray | None] = dict.fromkeys(("query", "key", "value"))
    inputs["query"] = np.concatenate(new, 2) if is_packed else new[0]
    if not is_packed:
        inputs |= {"key": new[1], "value": new[2]}
    for name in ("past_key", "past_value"):
        inputs[name] = None if past is None else normal(batch, keys, past, size)
    inputs = {name: each if each is None else each.astype(dtype) for name, each in inputs.items()}
    inputs["lengths"] = np.array(totals, np.int32) - np.int32(1)
    inputs["total"] = np.array(max(totals), np.int32)
    is_rotary = attributes.get("do_rotary")
    for name in ("cos", "sin"):
        inputs[name] = normal(20, (rotated or size) // 2).astype(dtype) if is_rotary else None
    inputs |= more or {}
    dims: dict[str, Sequence[int | str | None]] = {
        name: ("batch", "length", array.shape[2])
        for name in ("query", "key", "value")
        if (array := inputs[name]) is not None
    }
    dims |= dict.fromkeys(("past_key", "past_value"), ("batch", keys, "past", size))
    dims["lengths"] = ("batch",)
    outputs = {"y": (dtype, 3), "present_key": (dtype, 4), "present_value": (dtype, 4)}
    return inputs, {
        "outputs": outputs,
        "dims": dims,
        "num_heads": queries,
        "kv_num_heads": keys,
        **attributes,
    }
