"""PyTorch's cumulative maxima, sums of exponentials and scatter_reduce become ONNX's operators."""

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from pluginkit.graph_rewrites.expand_aten_reductions import (
    ExpandAtenCumMax,
    ExpandAtenLogCumSumExp,
    ExpandAtenScatterReduce,
)
from pluginkit.graph_rewrites.rename_aten_operators import StoreAtenText
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.graph_rewrites.aten_models import aten_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import i64, normal

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
REWRITES = [ExpandAtenCumMax, ExpandAtenLogCumSumExp, ExpandAtenScatterReduce, StoreAtenText]
X = normal(3, 9, 2).round(1)
X[0, 3:, 0] = X[0, 2, 0]  # ties
X[1, 4, 1], X[2, 0, 0], X[2, 1, 0] = np.nan, -np.inf, np.inf


def computed(tmp_path, op, feeds, *arguments, dims=None, **outputs):
    model = aten_model(op, feeds, *arguments, outputs=outputs, dims=dims)
    result = rewrite_model(model, REWRITES)
    assert not result.refused
    assert rewrite_model(result.model, REWRITES).applied == []
    return run_model(result.model, feeds, result.plugins, base_dir=tmp_path)


def running(x, axis, is_later):
    """Return the running best and where it was, with torch's loop."""
    x = np.moveaxis(x, axis, 0)
    best, place = x.copy(), np.zeros(x.shape, np.int64)
    for at in range(1, len(x)):
        is_taken = np.isnan(x[at]) | (~np.isnan(best[at - 1]) & is_later(x[at], best[at - 1]))
        best[at] = np.where(is_taken, x[at], best[at - 1])
        place[at] = np.where(is_taken, at, place[at - 1])
    return np.moveaxis(best, 0, axis), np.moveaxis(place, 0, axis)


KNOWN_OR_NOT = pytest.mark.parametrize(
    "dims", [None, {"x": ["n", "m", "k"]}], ids=["known", "any size"]
)


@KNOWN_OR_NOT
@pytest.mark.parametrize("x", [X, X[:, :1]], ids=["nine", "one"])
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize(
    ("op", "is_later"), [("cummax", np.greater_equal), ("cummin", np.less_equal)]
)
def test_running_bests(op, is_later, axis, x, dims, tmp_path):
    outputs = {"y": (FLOAT, [None] * 3), "at": (INT64, [None] * 3)}
    got = computed(tmp_path, op, {"x": x}, "x", axis, dims=dims, **outputs)
    best, place = running(x, axis, is_later)
    np.testing.assert_array_equal(got["y"], best)
    np.testing.assert_array_equal(got["at"], place)


def test_the_best_of_nothing(tmp_path):
    outputs = {"y": (FLOAT, [None] * 3), "at": (INT64, [None] * 3)}
    got = computed(tmp_path, "cummax", {"x": X[:, :0]}, "x", 1, **outputs)
    assert got["y"].shape == got["at"].shape == (3, 0, 2)


def test_the_best_of_a_vector_without_its_place(tmp_path):
    outputs, x = {"y": (FLOAT, [None])}, X[1, :, 0]
    got = computed(tmp_path, "cummin", {"x": x}, "x", 0, dims={"x": ["n"]}, **outputs)
    np.testing.assert_array_equal(got["y"], running(x, 0, np.less_equal)[0])


@KNOWN_OR_NOT
@pytest.mark.parametrize("x", [X, 100 * X, X[:, :1]], ids=["near", "far", "one"])
@pytest.mark.parametrize("axis", [1, -1])
def test_running_sums_of_exponentials(axis, x, dims, tmp_path):
    outputs = {"y": (FLOAT, [None] * 3)}
    got = computed(tmp_path, "logcumsumexp", {"x": x}, "x", axis, dims=dims, **outputs)["y"]
    with np.errstate(invalid="ignore"):
        expected = np.logaddexp.accumulate(x, axis)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


UFUNCS = {"sum": np.add, "mean": np.add, "prod": np.multiply, "amax": np.maximum}
UFUNCS["amin"] = np.minimum
TARGET, INDEX, SOURCE = normal(5, 4), i64([0, 2, 0], [2, 2, 4]), normal(3, 4)


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduction", UFUNCS)
def test_scattered_reductions(reduction, include_self, tmp_path):
    expected, count = TARGET.copy(), np.full(TARGET.shape, int(include_self))
    rows, columns = INDEX, np.broadcast_to(np.arange(3), INDEX.shape)
    if not include_self:
        neutral = {"prod": 1, "amax": -np.inf, "amin": np.inf}.get(reduction, 0)
        expected[rows, columns] = neutral
    UFUNCS[reduction].at(expected, (rows, columns), SOURCE[:2, :3])
    np.add.at(count, (rows, columns), 1)
    if reduction == "mean":
        expected /= np.maximum(count, 1)
    text = (numpy_helper.from_array(np.array([*reduction.encode()], np.int32)),)
    feeds = {"x": TARGET, "i": INDEX, "s": SOURCE}
    arguments = ("x", -2, "i", "s", text, include_self)
    got = computed(tmp_path, "scatter_reduce", feeds, *arguments, y=(FLOAT, [None] * 2))["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("rewrite", "op", "feeds", "arguments", "dims", "reason"),
    [
        (ExpandAtenCumMax, "cummax", {"x": INDEX}, ("x", 0), {}, "'x' is int64; expected"),
        (ExpandAtenCumMax, "cummax", {"x": X, "k": i64(1)}, ("x", "k"), {}, "its arguments"),
        (ExpandAtenCumMax, "cummin", {"x": X[0, 0, 0]}, ("x", 0), {}, "the rank of its input"),
        (
            ExpandAtenScatterReduce,
            "scatter_reduce",
            {"x": TARGET, "i": INDEX, "s": SOURCE, "k": i64(1)},
            ("x", "k", "i", "s", np.array([*b"sum"])),
            {},
            "its arguments",
        ),
    ],
)
def test_what_is_left(rewrite, op, feeds, arguments, dims, reason):
    model = aten_model(op, feeds, *arguments, outputs={"y": (FLOAT, [None])}, dims=dims)
    assert reason_against(rewrite, model).startswith(reason)
