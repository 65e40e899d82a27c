"""Turn operators of PyTorch, which its exporter keeps, into those of ONNX that compute the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._aten import ATEN, argument, unstored
from pluginkit.onnx import FLOATS, INTEGERS, Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_BITWISE = {"and": "BitwiseAnd", "or": "BitwiseOr", "xor": "BitwiseXor"}


class RenameAtenBitwise(Rewrite):
    """a ^ b, a & b, a | b, torch.bitwise_xor(a, b) -> BitwiseXor(a, b), of integers."""

    pattern = Op(
        (*(f"__{name}__" for name in _BITWISE), *(f"bitwise_{name}" for name in _BITWISE)),
        "a",
        "b",
        domain=ATEN,
    )

    def check(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> str | None:
        if match.dtype(a) != match.dtype(b) and (match.rank(b) != 0 or match.constant(b) is None):
            return "the types of its inputs differ"
        if match.onnx_opset < 18:
            return f"ONNX has it from opset 18 on; the model has {match.onnx_opset}"
        return match.dtype_problem(INTEGERS, a)

    def rewrite(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> list[gs.Node]:
        new, name = Replacement(match), match.proto.op_type.strip("_").removeprefix("bitwise_")
        return new.end(_BITWISE[name], a, new.cast(b, match.dtype(a)))


class ExpandAtenDiagEmbed(Rewrite):
    """torch.diag_embed(x, offset, dim1, dim2) -> Where(on the diagonal, x, 0).

    The last axis of x becomes a diagonal of square matrices, whose axes are moved to dim1 and dim2.
    torch.diag does that with a vector.
    """

    pattern = Op(("diag_embed", "diag"), "x", ..., domain=ATEN)

    def check(self, match: Match, x: gs.Tensor) -> str | tuple[int, int, int]:
        if match.proto.op_type == "diag" and match.rank(x) == 2:
            return "it takes the diagonal of a matrix: ExpandAtenDiagonal takes it"
        arguments = [argument(match, at, default) for at, default in ((1, 0), (2, -2), (3, -1))]
        problem = _problem(match, x, arguments)
        if problem is not None:
            return problem
        rank = (match.rank(x) or 0) + 1
        return int(arguments[0]), int(arguments[1]) % rank, int(arguments[2]) % rank

    def rewrite(self, match: Match, x: gs.Tensor, facts: tuple[int, int, int]) -> list[gs.Node]:
        """Pad x to the size of the matrices, as rows of them or, below the diagonal, as columns."""
        offset, first, second = facts
        new, rank = Replacement(match), (match.rank(x) or 0) + 1
        padded: NodeInput = x
        if offset:
            padded = new.pad(x, [0] * (2 * rank - 3) + [abs(offset)])
        place = _numbers(new, _size(new, padded, rank - 2))
        here = new.add("Add", new.unsqueeze(place, [1]), np.int64(offset))
        on_diagonal = new.add("Equal", here, new.unsqueeze(place, [0]))
        spread = new.unsqueeze(padded, [-1 if offset >= 0 else -2])
        zero = new.cast(np.float32(0), match.dtype(x))
        others = [axis for axis in range(rank) if axis not in (first, second)]
        order = [
            rank - 2 if axis == first else rank - 1 if axis == second else others.index(axis)
            for axis in range(rank)
        ]
        matrices = new.add("Where", on_diagonal, spread, zero)
        return new.end("Transpose", matrices, perm=order)


class ExpandAtenDiagonal(Rewrite):
    """torch.linalg.diagonal(x, offset=0, dim1, dim2) -> Gather(flat matrices of x, places).

    torch.diag does that with a matrix.
    """

    pattern = Op(("linalg_diagonal", "diag"), "x", ..., domain=ATEN)

    def check(self, match: Match, x: gs.Tensor) -> str | tuple[int, int, int]:
        if match.proto.op_type == "diag" and match.rank(x) == 1:
            return "it makes a matrix of a vector: ExpandAtenDiagEmbed takes it"
        arguments = [argument(match, at, default) for at, default in ((1, 0), (2, -2), (3, -1))]
        problem = _problem(match, x, arguments)
        if problem is not None:
            return problem
        rank = match.rank(x) or 0
        return int(arguments[0]), int(arguments[1]) % rank, int(arguments[2]) % rank

    def rewrite(self, match: Match, x: gs.Tensor, facts: tuple[int, int, int]) -> list[gs.Node]:
        offset, first, second = facts
        new, rank = Replacement(match), match.rank(x) or 0
        rows, columns = (_size(new, x, axis) for axis in (first, second))
        below, right = max(-offset, 0), max(offset, 0)
        ends = [new.add("Sub", rows, np.int64(below)), new.add("Sub", columns, np.int64(right))]
        place = _numbers(new, new.add("Max", new.add("Min", *ends), np.int64(0)))
        row = new.add("Mul", new.add("Add", place, np.int64(below)), columns)
        at = new.add("Add", row, new.add("Add", place, np.int64(right)))
        order = [axis for axis in range(rank) if axis not in (first, second)] + [first, second]
        moved = new.add("Transpose", x, perm=order)
        flat = new.add("Reshape", moved, np.array([0] * (rank - 2) + [-1]))
        return new.end("Gather", flat, at, axis=rank - 2)


class ExpandAtenLogDeterminant(Rewrite):
    """torch.linalg.slogdet(x) -> sign(d), log(abs(d)) + sum(log(n)), d = Det(x / n).

    n is the norm of each row times 0.78, with which matrices of normal numbers have determinants
    near 1: those of the whole numbers overflow from about 50 rows on.
    """

    pattern = Op(("slogdet", "linalg_slogdet"), "x", domain=ATEN)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        if match.onnx_opset < 13:
            return f"its ONNX operators need opset 13; the model has {match.onnx_opset}"
        return match.dtype_problem(FLOATS, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new, dtype = Replacement(match), match.dtype(x)
        zero, one, part = (new.cast(np.float32(each), dtype) for each in (0, 1, np.exp(-0.25)))
        norm = new.add("Mul", new.reduce("ReduceL2", x, [-1], keepdims=True), part)
        norm = new.add("Where", new.add("Equal", norm, zero), one, norm)
        determinant = new.add("Det", new.add("Div", x, norm))
        new.into(match.outputs[:1], "Sign", determinant)
        logarithms = new.reduce("ReduceSum", new.add("Log", norm), [-2, -1])
        rest = new.add("Log", new.add("Abs", determinant))
        return new.into(match.outputs[1:2], "Add", rest, logarithms)


def _problem(match: Match, x: gs.Tensor, arguments: list[int | None]) -> str | None:
    """Return why a diagonal cannot be taken or made."""
    if match.onnx_opset < 13:
        return f"its ONNX operators need opset 13; the model has {match.onnx_opset}"
    if not match.dtype(x) or match.rank(x) is None:
        return "the type or the rank of its input is unknown"
    return unstored(match, *arguments)


def _size(new: Replacement, x: NodeInput, axis: int) -> NodeInput:
    """Return the size of an axis as a scalar."""
    return new.add("Gather", new.add("Shape", x), np.array(axis), axis=0)


def _numbers(new: Replacement, count: NodeInput) -> NodeInput:
    return new.add("Range", np.int64(0), count, np.int64(1))
