import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_rotary_embedding import (
    ExpandMRotaryEmbedding,
    ExpandRotaryEmbedding,
)
from tests.graph_rewrites.microsoft import assert_spelled_out, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import i64, integers, normal

POSITIONS = {"each": integers(2, 5, dtype=np.int64, high=9), "first": i64(3)}


def tables(columns, dtype):
    return {name: normal(20, columns).astype(dtype) for name in ("cos", "sin")}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize(
    ("shape", "dims", "columns", "attributes"),
    [
        ((2, 5, 32), ("n", "s", 32), 4, {}),
        ((2, 4, 5, 8), ("n", 4, "s", 8), 4, {}),
        ((2, 5, 32), ("n", "s", 32), 2, {"num_heads": 4, "rotary_embedding_dim": 4}),
        ((2, 4, 5, 8), ("n", 4, "s", 8), 2, {"num_heads": 4, "rotary_embedding_dim": 4}),
    ],
)
def test_pairs_are_rotated(dtype, positions, interleaved, shape, dims, columns, attributes):
    at = POSITIONS[positions]
    inputs = {"x": normal(*shape).astype(dtype), "at": at, **tables(columns, dtype)}
    model = microsoft_model(
        "RotaryEmbedding",
        inputs,
        {"y": (dtype, len(shape))},
        dims={"x": dims},
        interleaved=interleaved,
        **attributes,
    )
    assert_spelled_out(model, inputs, [ExpandRotaryEmbedding])


def test_packed_batches_and_unknown_sizes_are_left():
    inputs = {"x": normal(2, 5, 32), "at": i64(0), **tables(4, np.float32)}
    outputs = {"y": ("float32", 3)}
    model = microsoft_model("RotaryEmbedding", inputs, outputs, is_packed_batching=1)
    reason = "it rotates batches of different lengths that are packed"
    assert reason_against(ExpandRotaryEmbedding, model) == reason
    model = microsoft_model("RotaryEmbedding", inputs, outputs, dims={"cos": (20, None)})
    reason = "the size of its tables, or the rank of its input, is unknown"
    assert reason_against(ExpandRotaryEmbedding, model) == reason


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("shape", [(2, 5, 48), (2, 4, 5, 12)])
def test_columns_take_the_positions_of_three_axes(dtype, layout, shape):
    at = integers(3, 2, 5, dtype=np.int64, high=9)
    inputs = {"x": normal(*shape).astype(dtype), "at": at, **tables(6, dtype)}
    model = microsoft_model(
        "MRotaryEmbedding",
        inputs,
        {"y": (dtype, len(shape))},
        mrope_section=[3, 2, 1],
        mrope_layout=layout,
        num_heads=4,
    )
    assert_spelled_out(model, inputs, [ExpandMRotaryEmbedding])


@pytest.mark.parametrize("sections", [[2, 1], [3, 2, 2]])
def test_sections_that_do_not_fit_are_left(sections):
    at = integers(3, 2, 5, dtype=np.int64, high=9)
    inputs = {"x": normal(2, 5, 48), "at": at, **tables(6, np.float32)}
    outputs = {"y": ("float32", 3)}
    model = microsoft_model("MRotaryEmbedding", inputs, outputs, mrope_section=sections)
    assert reason_against(ExpandMRotaryEmbedding, model) == (
        "its sections do not make the columns of its tables"
    )
