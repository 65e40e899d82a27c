import itertools

import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_pool import ExpandPool
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model, normal


def pooled(x, kernel, dilations, strides, pads, reduce_window, fill):
    """Window by window."""
    pairs = [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])]
    padded = np.pad(x.astype(np.float64), pairs, constant_values=fill)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    counts = [
        (size - span) // stride + 1
        for size, span, stride in zip(padded.shape[2:], spans, strides, strict=True)
    ]
    result = np.empty((*x.shape[:2], *counts))
    for i, j in itertools.product(*map(range, counts)):
        top, left = i * strides[0], j * strides[1]
        window = padded[
            ..., top : top + spans[0] : dilations[0], left : left + spans[1] : dilations[1]
        ]
        result[..., i, j] = reduce_window(window.reshape(*x.shape[:2], -1))
    return result


OPTIONS = {
    "kernel_shape": [3, 2],
    "dilations": [2, 3],
    "strides": [2, 1],
    "pads": [1, 2, 1, 0],
}


@pytest.mark.parametrize(
    ("op_type", "options", "fill", "reduce_window"),
    [
        ("MaxPool", {}, -np.inf, lambda window: window.max(-1)),
        ("AveragePool", {"count_include_pad": 1}, 0, lambda window: window.mean(-1)),
        ("AveragePool", {}, np.nan, lambda window: np.nanmean(window, -1)),
        ("LpPool", {"p": 3}, 0, lambda window: (np.abs(window) ** 3).sum(-1) ** (1 / 3)),
        ("LpPool", {"p": 1}, 0, lambda window: np.abs(window).sum(-1)),
    ],
)
@pytest.mark.parametrize("batch", [2, "n"])
def test_windows_give_what_a_loop_over_them_gives(op_type, options, fill, reduce_window, batch):
    x = normal(2, 3, 11, 9)
    model = node_model(op_type, {"x": x}, dims={"x": [batch, 3, 11, 9]}, **OPTIONS, **options)
    (got,) = outputs_of(ExpandPool, model, {"x": x})
    expected = pooled(x, *(list(OPTIONS.values())), reduce_window, fill)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_padding_never_wins_and_infinities_do_not_spread():
    x = np.full((1, 1, 5, 5), -1e38, np.float32)
    x[..., 0, 0] = -np.inf
    x[..., 4, 4] = np.inf
    model = node_model("MaxPool", {"x": x}, **{**OPTIONS, "kernel_shape": [2, 2]})
    (got,) = outputs_of(ExpandPool, model, {"x": x})
    options = {**OPTIONS, "kernel_shape": [2, 2]}.values()
    expected = pooled(x, *options, lambda window: window.max(-1), -np.inf)
    np.testing.assert_array_equal(got, expected.astype(np.float32))


def test_rounding_up_makes_no_window_of_padding_alone():
    x = normal(1, 1, 4, 5)
    options = {"kernel_shape": [2, 2], "dilations": [2, 2], "strides": [4, 4], "ceil_mode": 1}
    (got,) = outputs_of(ExpandPool, node_model("MaxPool", {"x": x}, **options), {"x": x})
    corner, beyond = x[0, 0, ::2, :3:2].max(), x[0, 0, ::2, 4].max()
    np.testing.assert_array_equal(got, [[[[corner, beyond]]]])


def test_float16_sums_beyond_its_range_are_averaged():
    x = np.full((1, 1, 8, 8), 60000, np.float16)
    model = node_model("AveragePool", {"x": x}, kernel_shape=[3, 3], dilations=[2, 2])
    (got,) = outputs_of(ExpandPool, model, {"x": x})
    np.testing.assert_array_equal(got, np.full((1, 1, 4, 4), 60000, np.float16))


DILATED = {"kernel_shape": [2, 2], "dilations": [2, 1]}


@pytest.mark.parametrize(
    ("op_type", "options", "reason"),
    [
        ("MaxPool", {"kernel_shape": [2, 2]}, "TensorRT takes it"),
        ("AveragePool", {"kernel_shape": [2, 2], "dilations": [1, 1]}, "its windows are dense"),
        ("LpPool", {"kernel_shape": [2, 2], "p": 1}, "TensorRT takes it"),
        ("MaxPool", {**DILATED, "outputs": ("y", "i")}, "the indices of the greatest"),
        ("MaxPool", {**DILATED, "dims": {"x": [1, 1, "h", 8]}}, "a spatial size is unknown"),
        (
            "MaxPool",
            {**DILATED, "pads": [0, 1, -1, 0], "ranks": {"y": 4}},
            "its padding is negative",
        ),
        ("MaxPool", {**DILATED, "dims": {"x": [1, 1, 2, 8]}}, "windows are larger than the input"),
    ],
)
def test_what_it_cannot_or_need_not_do_is_left(op_type, options, reason):
    model = node_model(op_type, {"x": normal(1, 1, 8, 8)}, **options)
    assert reason in reason_against(ExpandPool, model)


def test_an_unused_output_for_indices_is_no_reason():
    model = node_model("MaxPool", {"x": normal(1, 1, 8, 8)}, outputs=("y", "i"), **DILATED)
    del model.graph.output[1]
    assert outputs_of(ExpandPool, model, {"x": normal(1, 1, 8, 8)})[0].shape == (1, 1, 6, 7)
