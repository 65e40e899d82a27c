import numpy as np
import onnx
import pytest
from onnx import TensorProto

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.rename_aten_operators import RenameAtenOperator
from pluginkit.graph_rewrites.replace_linear_algebra import (
    ReplaceAtenCholesky,
    ReplaceAtenCholeskyInverse,
    ReplaceAtenCholeskySolve,
    ReplaceAtenInverse,
    ReplaceAtenSolve,
    ReplaceAtenTriangularSolve,
)
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.graph_rewrites.aten_models import aten_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import normal

REWRITES = [
    RenameAtenOperator,
    ReplaceAtenCholesky,
    ReplaceAtenCholeskyInverse,
    ReplaceAtenCholeskySolve,
    ReplaceAtenInverse,
    ReplaceAtenSolve,
    ReplaceAtenTriangularSolve,
]
FLOAT = TensorProto.FLOAT
ROOT = normal(2, 4, 4)
X = (ROOT @ ROOT.mT + np.eye(4)).astype(np.float32)
B, VECTORS = normal(2, 4, 3), normal(2, 4)
LOWER = np.linalg.cholesky(X.astype(np.float64))
#: Of which the other triangle is not read.
UPPER = np.triu(X + LOWER.mT)
SAME, SIDES = {"y": (FLOAT, [2, 4, 4])}, {"y": (FLOAT, [2, 4, 3])}
CASES = {
    "cholesky": (("linalg_cholesky", {"x": X}, "x", False), SAME, LOWER),
    "upper": (("linalg_cholesky", {"x": X}, "x", True), SAME, LOWER.mT),
    "old cholesky": (("cholesky", {"x": X}, "x", False), SAME, LOWER),
    "cholesky_ex": (
        ("linalg_cholesky_ex", {"x": X}, "x", False, False),
        {**SAME, "info": (TensorProto.INT32, [2])},
        LOWER,
    ),
    "inverse": (("linalg_inv", {"x": X}, "x"), SAME, np.linalg.inv(X)),
    "solve": (("linalg_solve", {"x": X, "b": B}, "x", "b", True), SIDES, np.linalg.solve(X, B)),
    "solve for vectors": (
        ("linalg_solve", {"x": X, "b": VECTORS}, "x", "b", True),
        {"y": (FLOAT, [2, 4])},
        np.linalg.solve(X, VECTORS[..., None])[..., 0],
    ),
    "solve by a factor": (
        ("cholesky_solve", {"b": B, "l": LOWER.astype(np.float32)}, "b", "l", False),
        SIDES,
        np.linalg.solve(X, B),
    ),
    "solve by an upper factor": (
        ("cholesky_solve", {"b": B, "l": X + LOWER.mT.astype(np.float32)}, "b", "l", True),
        SIDES,
        np.linalg.solve(UPPER.mT @ UPPER, B),
    ),
    "inverse by a factor": (
        ("cholesky_inverse", {"l": LOWER.astype(np.float32)}, "l"),
        SAME,
        np.linalg.inv(X),
    ),
    "triangular": (
        ("linalg_solve_triangular", {"x": X, "b": B}, "x", "b", True, True, False),
        SIDES,
        np.linalg.solve(np.triu(X), B),
    ),
}


@pytest.mark.parametrize("fallback", [False, True], ids=["fallthrough", "fallback"])
@pytest.mark.parametrize("case", CASES)
def test_numpy_agrees(case, fallback, tmp_path):
    (op, feeds, *arguments), outputs, expected = CASES[case]
    model = aten_model(op, feeds, *arguments, outputs=outputs, fallback=fallback)
    result = rewrite_model(model, REWRITES)
    assert not result.refused
    assert rewrite_model(result.model, REWRITES).applied == []
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    np.testing.assert_allclose(got["y"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("rewrite", "given", "dims", "reason"),
    [
        (
            ReplaceAtenCholesky,
            ("linalg_cholesky", {"x": X, "u": np.array(True)}, "x", "u"),
            {},
            "its arguments are not stored in the model",
        ),
        (
            ReplaceAtenSolve,
            ("linalg_solve", {"x": X, "b": B}, "x", "b", False),
            {},
            "it may solve X A = B; expected a stored left=True",
        ),
        (
            ReplaceAtenSolve,
            ("linalg_solve", {"x": X, "b": VECTORS}, "x", "b", True),
            {"x": ["n", 4, 4]},
            "the batches of its inputs are not known to be the same",
        ),
        (
            ReplaceAtenTriangularSolve,
            ("linalg_solve_triangular", {"x": X, "b": B}, "x", "b", True, True, True),
            {},
            "it may solve X A = B or take ones for A's diagonal; expected stored defaults",
        ),
    ],
    ids=["upper", "left", "batch", "unitriangular"],
)
def test_what_is_not_the_plugin_s_is_left(rewrite, given, dims, reason):
    model = aten_model(*given, outputs=SIDES, dims=dims)
    assert reason_against(rewrite, model) == reason


@pytest.mark.parametrize(
    ("x", "b", "sizes"),
    [(X, B[:1], [1, 4, 3]), (X[:1], B, [2, 4, 3]), (X, VECTORS, ["m", 4])],
    ids=["one side", "one matrix", "vectors"],
)
def test_batches_of_any_size_are_those_of_torch(x, b, sizes, tmp_path):
    feeds, dims = {"x": x, "b": b}, {"x": ["n", 4, 4], "b": sizes}
    outputs = {"y": (FLOAT, [None] * b.ndim)}
    model = aten_model("linalg_solve", feeds, "x", "b", True, outputs=outputs, dims=dims)
    result = rewrite_model(model, REWRITES)
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    sides = b if b.ndim == 3 else b[..., None]
    expected = np.linalg.solve(x, sides).reshape(got["y"].shape)
    np.testing.assert_allclose(got["y"], expected, rtol=1e-4, atol=1e-4)


def test_triangles_of_other_batches_are_those_of_torch(tmp_path):
    feeds, dims = {"x": X[:1], "b": B}, {"x": ["n", 4, 4], "b": ["m", 4, 3]}
    arguments = "x", "b", True, True, False
    model = aten_model("linalg_solve_triangular", feeds, *arguments, outputs=SIDES, dims=dims)
    result = rewrite_model(model, REWRITES)
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    expected = np.linalg.solve(np.triu(X[:1]), B)
    np.testing.assert_allclose(got["y"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    (op, feeds, *arguments), outputs, _ = CASES["cholesky_ex"]
    onnx.save(aten_model(op, feeds, *arguments, outputs=outputs, fallback=True), path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    assert len(build_engine(path, options=options).manifest.plugins) == 1
