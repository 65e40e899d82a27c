"""Operators of PyTorch that its exporter keeps become ONNX's, or a plugin."""

import numpy as np
import pytest
from onnx import TensorProto

from pluginkit.graph_rewrites.expand_aten_operators import (
    ExpandAtenDiagEmbed,
    ExpandAtenDiagonal,
    ExpandAtenLogDeterminant,
    RenameAtenBitwise,
)
from pluginkit.graph_rewrites.expand_det import ExpandDet
from pluginkit.graph_rewrites.replace_cum_prod import ReplaceAtenCumProd
from pluginkit.graph_rewrites.replace_linear_algebra import ReplaceDet
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.graph_rewrites.aten_models import aten_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import i64, normal

REWRITES = [ExpandAtenDiagEmbed, ExpandAtenDiagonal, RenameAtenBitwise, ReplaceAtenCumProd]
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
X, ROWS = normal(2, 3, 5), normal(2, 4)
NUMBERS = i64(5, -7, 1 << 40)


def computed(tmp_path, op, feeds, *arguments, rank, elem_type=FLOAT, dims=None):
    outputs = {"y": (elem_type, [None] * rank)}
    model = aten_model(op, feeds, *arguments, outputs=outputs, dims=dims)
    result = rewrite_model(model, REWRITES)
    assert not result.refused
    assert rewrite_model(result.model, REWRITES).applied == []
    return run_model(result.model, feeds, result.plugins, base_dir=tmp_path)["y"]


@pytest.mark.parametrize("dims", [None, {"x": ["n", "m"]}], ids=["known", "any size"])
@pytest.mark.parametrize("offset", [-2, 0, 1])
@pytest.mark.parametrize("axes", [(-2, -1), (0, 1), (2, 0)])
def test_a_vector_becomes_a_diagonal(axes, offset, dims, tmp_path):
    got = computed(tmp_path, "diag_embed", {"x": ROWS}, "x", offset, *axes, rank=3, dims=dims)
    matrices = np.stack([np.diag(row, offset) for row in ROWS])
    np.testing.assert_array_equal(got, np.moveaxis(matrices, (1, 2), axes))


@pytest.mark.parametrize("dims", [None, {"x": ["n", "m", "k"]}], ids=["known", "any size"])
@pytest.mark.parametrize("offset", [-2, 0, 1, 4])
@pytest.mark.parametrize("axes", [(-2, -1), (2, 0)])
def test_a_diagonal_is_taken(axes, offset, dims, tmp_path):
    got = computed(tmp_path, "linalg_diagonal", {"x": X}, "x", offset, *axes, rank=2, dims=dims)
    np.testing.assert_array_equal(got, np.diagonal(X, offset, *axes))


@pytest.mark.parametrize("op", ["slogdet", "linalg_slogdet"])
@pytest.mark.parametrize("size", [1, 3, 40, 120])
def test_the_logarithm_of_a_determinant(op, size, tmp_path):
    x = normal(3, size, size)
    x[1, 0] = 0
    x[2] *= 1000
    outputs = {"sign": (FLOAT, [None]), "y": (FLOAT, [None])}
    model = aten_model(op, {"x": x}, "x", outputs=outputs)
    result = rewrite_model(model, [ExpandAtenLogDeterminant, ReplaceDet, ExpandDet])
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)
    sign, logarithm = np.linalg.slogdet(x.astype(float))
    np.testing.assert_array_equal(got["sign"], sign)
    np.testing.assert_allclose(got["y"], logarithm, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("op", "function"),
    [("__xor__", np.bitwise_xor), ("bitwise_and", np.bitwise_and), ("__or__", np.bitwise_or)],
)
def test_bits_of_integers(op, function, tmp_path):
    feeds, other = {"x": NUMBERS, "b": NUMBERS[::-1].copy()}, np.array(6)
    got = computed(tmp_path, op, feeds, "x", "b", rank=1, elem_type=INT64)
    np.testing.assert_array_equal(got, function(NUMBERS, feeds["b"]))
    got = computed(tmp_path, op, {"x": NUMBERS}, "x", other, rank=1, elem_type=INT64)
    np.testing.assert_array_equal(got, function(NUMBERS, other))


def test_products_along_an_axis(tmp_path):
    got = computed(tmp_path, "cumprod", {"x": X}, "x", 1, None, rank=3)
    np.testing.assert_allclose(got, X.cumprod(1), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8])
def test_products_of_integers_are_of_int64(dtype, tmp_path):
    x = np.array([[100, -3, 7], [50, 2, 90]], dtype)
    got = computed(tmp_path, "cumprod", {"x": x}, "x", 1, rank=2, elem_type=INT64)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, x.cumprod(1, np.int64))


@pytest.mark.parametrize("offset", [-1, 0, 2])
@pytest.mark.parametrize("x", [X[0], ROWS[0]], ids=["of a matrix", "of a vector"])
def test_diag(x, offset, tmp_path):
    sizes = {"x": ["n", "m"][: x.ndim]}
    got = computed(tmp_path, "diag", {"x": x}, "x", offset, rank=3 - x.ndim, dims=sizes)
    np.testing.assert_array_equal(got, np.diag(x, offset))


@pytest.mark.parametrize(
    ("rewrite", "op", "feeds", "arguments", "reason"),
    [
        (RenameAtenBitwise, "__xor__", {"x": X}, ("x", "x"), "'x' is float32; expected"),
        (
            RenameAtenBitwise,
            "__xor__",
            {"x": NUMBERS, "b": NUMBERS.astype(np.int32)},
            ("x", "b"),
            "the types of its inputs differ",
        ),
        (ReplaceAtenCumProd, "cumprod", {"x": NUMBERS > 0}, ("x", 0), "'x' is bool; expected"),
        (ReplaceAtenCumProd, "cumprod", {"x": X}, ("x", 0, 7), "it casts its input"),
        (ExpandAtenDiagEmbed, "diag_embed", {"x": X, "k": i64(1)}, ("x", "k"), "its arguments"),
        (ExpandAtenDiagonal, "linalg_diagonal", {"x": X, "k": i64(1)}, ("x", "k"), "its arg"),
    ],
)
def test_what_is_left(rewrite, op, feeds, arguments, reason):
    model = aten_model(op, feeds, *arguments, outputs={"y": (FLOAT, [None])})
    assert reason_against(rewrite, model).startswith(reason)
