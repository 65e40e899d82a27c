"""Replace the operators of linear algebra, which TensorRT lacks, by plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._aten import ATEN, argument, unstored
from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.graph_rewrites.expand_det import LARGEST
from pluginkit.onnx import Op, Replacement, Rewrite
from pluginkit.plugins.cholesky import Cholesky
from pluginkit.plugins.det import Det
from pluginkit.plugins.inverse import Inverse
from pluginkit.plugins.solve import Solve

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import Match, NewNode


class ReplaceDet(Rewrite):
    """Det(x) -> Det_PK(x), for matrices larger than 4 x 4 or of unknown size."""

    plugin = Det
    pattern = Op("Det", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        size = (match.shape(x) or (None,))[-1]
        if size is not None and 1 <= size <= LARGEST:
            return f"its matrices are not larger than {LARGEST} x {LARGEST}: ExpandDet takes it"
        return None

    def rewrite(self, match: Match) -> NewNode:
        return match.plugin_node(Det)


class ReplaceInverse(Rewrite):
    """com.microsoft.Inverse(x) -> Inverse_PK(x)."""

    plugin = Inverse
    pattern = Op("Inverse", "x", domain=MICROSOFT)

    def rewrite(self, match: Match) -> NewNode:
        return match.plugin_node(Inverse)


class ReplaceAtenInverse(Rewrite):
    """torch.linalg.inv(x), torch.inverse(x) -> Inverse_PK(x)."""

    plugin = Inverse
    pattern = Op(("linalg_inv", "inverse"), "x", domain=ATEN)

    def rewrite(self, match: Match, x: gs.Tensor) -> NewNode:
        return match.plugin_node(Inverse(), [x])


class ReplaceAtenCholesky(Rewrite):
    """torch.linalg.cholesky(x, upper) -> Cholesky_PK(x), also of torch.linalg.cholesky_ex.

    Nothing is raised where torch.linalg.cholesky raises: the factor of a matrix that is not
    positive definite has NaN.
    """

    plugin = Cholesky
    pattern = Op(("linalg_cholesky", "cholesky", "linalg_cholesky_ex"), "x", ..., domain=ATEN)

    def check(self, match: Match) -> str | None:
        return unstored(match, argument(match, 1, False))

    def rewrite(self, match: Match, x: gs.Tensor) -> NewNode:
        return match.plugin_node(Cholesky(upper=bool(argument(match, 1, False))), [x])


class ReplaceAtenSolve(Rewrite):
    """torch.linalg.solve(a, b) -> Solve_PK(a, b), also of vectors b.

    Batches that may differ are expanded to each other's, as torch does.
    """

    plugin = Solve
    pattern = Op("linalg_solve", "a", "b", ..., domain=ATEN)

    def check(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> str | None:
        if argument(match, 2, True) is not True:
            return "it may solve X A = B; expected a stored left=True"
        of_a, of_b = match.shape(a), match.shape(b)
        if of_a and of_b and (len(of_a) == len(of_b) or (of_a[:-1] == of_b and of_b[-1])):
            return None
        return _batch_problem(match, a, b)

    def rewrite(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> list[NewNode]:
        before, after = Replacement(match), Replacement(match)
        is_vector = match.rank(a) != match.rank(b)
        column = before.unsqueeze(b, [-1]) if is_vector else b
        matrices = a
        if _batch_problem(match, a, b) is not None:
            matrices, column = _in_one_batch(before, a, column)
        if not is_vector:
            return [*before, match.plugin_node(Solve(), [matrices, column])]
        solution = match.outputs[0].copy()
        solution.name = "solution"
        node = match.plugin_node(Solve(), [matrices, column], [solution])
        after.end("Identity", after.squeeze(solution, [-1]))
        return [*before, node, *after]


class ReplaceAtenTriangularSolve(Rewrite):
    """torch.linalg.solve_triangular(a, b, upper) -> Solve_PK(Trilu(a), b)."""

    plugin = Solve
    pattern = Op("linalg_solve_triangular", "a", "b", ..., domain=ATEN)

    def check(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> str | None:
        if argument(match, 3, True) is not True or argument(match, 4, False) is not False:
            return "it may solve X A = B or take ones for A's diagonal; expected stored defaults"
        if match.rank(a) != match.rank(b):
            return "the ranks of its inputs differ"
        if match.rank(a) is None:
            return "the rank of an input is unknown"
        return unstored(match, argument(match, 2, None))

    def rewrite(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> list[NewNode]:
        new = Replacement(match)
        triangle = new.add("Trilu", a, upper=int(argument(match, 2, None)))
        if _batch_problem(match, a, b) is not None:
            triangle, b = _in_one_batch(new, triangle, b)
        return [*new, match.plugin_node(Solve(), [triangle, b])]


class ReplaceAtenCholeskySolve(Rewrite):
    """torch.cholesky_solve(b, L, upper) -> Solve_PK(L @ L.mT, b)."""

    plugin = Solve
    pattern = Op("cholesky_solve", "b", "factor", ..., domain=ATEN)

    def check(self, match: Match, b: gs.Tensor, factor: gs.Tensor) -> str | None:
        if match.rank(b) is None or match.rank(b) != match.rank(factor):
            return "the ranks of its inputs are unknown, or differ"
        return unstored(match, argument(match, 2, False))

    def rewrite(self, match: Match, b: gs.Tensor, factor: gs.Tensor) -> list[NewNode]:
        new = Replacement(match)
        matrices = _factored(new, factor, argument(match, 2, False))
        if _batch_problem(match, factor, b) is not None:
            matrices, b = _in_one_batch(new, matrices, b)
        return [*new, match.plugin_node(Solve(), [matrices, b])]


class ReplaceAtenCholeskyInverse(Rewrite):
    """torch.cholesky_inverse(L, upper) -> Inverse_PK(L @ L.mT)."""

    plugin = Inverse
    pattern = Op("cholesky_inverse", "factor", ..., domain=ATEN)

    def check(self, match: Match, factor: gs.Tensor) -> str | None:
        if match.rank(factor) is None:
            return "the rank of its input is unknown"
        return unstored(match, argument(match, 1, False))

    def rewrite(self, match: Match, factor: gs.Tensor) -> list[NewNode]:
        new = Replacement(match)
        matrices = _factored(new, factor, argument(match, 1, False))
        return [*new, match.plugin_node(Inverse(), [matrices])]


def _factored(new: Replacement, factor: gs.Tensor, is_upper: bool) -> gs.Variable:
    """Return the matrices of which one triangle of others is the factor."""
    triangle = new.add("Trilu", factor, upper=int(is_upper))
    rank = len(factor.shape)
    turned = new.add("Transpose", triangle, perm=[*range(rank - 2), rank - 1, rank - 2])
    return new.add("MatMul", *((turned, triangle) if is_upper else (triangle, turned)))


def _in_one_batch(new: Replacement, a: gs.Tensor, b: gs.Tensor) -> tuple[gs.Variable, gs.Variable]:
    """Return matrices of the same rank, expanded to each other's batch."""
    return _in_batch_of(new, a, b), _in_batch_of(new, b, a)


def _in_batch_of(new: Replacement, x: gs.Tensor, other: gs.Tensor) -> gs.Variable:
    """Return matrices, expanded to the batch of others of the same rank."""
    batch = new.add("Slice", new.add("Shape", other), np.array([0]), np.array([-2]))
    return new.add("Expand", x, new.add("Concat", batch, np.array([1, 1]), axis=0))


def _batch_problem(match: Match, a: gs.Tensor, b: gs.Tensor) -> str | None:
    """Return why matrices and right sides may not have the same batch, or None."""
    of_a, of_b = a.shape, b.shape
    if of_a is None or of_b is None:
        return "the rank of an input is unknown"
    batch = list(of_a[:-2])
    if batch != list(of_b[: len(batch)]) or len(of_b) - len(batch) not in (1, 2) or None in batch:
        return "the batches of its inputs are not known to be the same"
    return None
