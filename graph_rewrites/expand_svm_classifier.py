"""Spell out support vectors that choose a class, and the chances that are coupled from pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from pluginkit.graph_rewrites.expand_linear_models import NUMBERS, kernel_of
from pluginkit.graph_rewrites.expand_scalers import ML, floats
from pluginkit.onnx import Match, NewNode, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_Floats = npt.NDArray[np.float32]
#: The chance of one class of a pair is at least this.
_LEAST = 1e-7
#: The most steps of the coupling, and how exact it is, for each class.
_STEPS, _ERROR = 100, 0.005


@dataclass(frozen=True)
class _Pairs:
    """The model: weights of support vectors for each pair of classes, and the classes of pairs."""

    vectors: _Floats
    weights: _Floats
    classes: int
    first: list[int]
    second: list[int]


class ExpandSvmClassifier(Rewrite):
    """ai.onnx.ml.SVMClassifier(x) -> Gather(labels, ArgMax(votes)), from a score for each pair.

    The score of a pair of classes is that of their support vectors, and votes for one of them. The
    second output are the scores, or with prob_a and prob_b the chances of the classes, which a Loop
    couples from those of the pairs as libsvm does. Labels must be integers, unless they are
    unused.
    """

    pattern = Op("SVMClassifier", "x", domain=ML)

    def check(self, match: Match, x: gs.Tensor) -> str | _Pairs:
        if match.attribute("classlabels_strings", []) and match.is_used(match.outputs[0]):
            return "its labels are strings, which TensorRT has no tensors of"
        kernel = match.attribute("kernel_type", "LINEAR")
        if kernel not in ("LINEAR", "POLY", "RBF", "SIGMOID"):
            return f"its kernel '{kernel}' is not known"
        if match.attribute("post_transform", "NONE") != "NONE":
            return "its scores are transformed"
        counts = match.attribute("vectors_per_class", [])
        pairs = len(counts) * (len(counts) - 1) // 2
        if len(counts) < 2 or len(floats(match, "rho")) != pairs:
            return "it has not a rho for each pair of classes"
        has_chances = len(floats(match, "prob_a")) == len(floats(match, "prob_b")) == pairs
        if not has_chances and len(floats(match, "prob_a")):
            return "it has not a prob_a and a prob_b for each pair of classes"
        if not has_chances and len(counts) == 2 and (floats(match, "coefficients") >= 0).all():
            return "it has two classes, and no weight below 0"
        if match.rank(x) != 2:
            return "its input has not two axes"
        return match.dtype_problem(NUMBERS, x) or _pairs(
            match, counts, (match.shape(x) or (None,))[-1]
        )

    def rewrite(self, match: Match, x: gs.Tensor, facts: _Pairs) -> list[NewNode]:
        new = Replacement(match)
        kernel = kernel_of(new, match, new.cast(x, "float32"), facts.vectors)
        scores = new.add("Add", new.add("MatMul", kernel, facts.weights), floats(match, "rho"))
        is_first = new.add("Cast", new.add("Greater", scores, np.float32(0)), to="float32")
        into = np.zeros((2, len(facts.first), facts.classes), np.float32)
        pairs = range(len(facts.first))
        into[0, pairs, facts.first] = into[1, pairs, facts.second] = 1
        is_second = new.add("Sub", np.float32(1), is_first)
        votes = new.add(
            "Add", new.add("MatMul", is_first, into[0]), new.add("MatMul", is_second, into[1])
        )
        if match.outputs[0].name and not match.attribute("classlabels_strings", []):
            labels = match.attribute("classlabels_ints", list(range(facts.classes)))
            best = new.add("ArgMax", votes, axis=1, keepdims=0)
            new.into(match.outputs[:1], "Gather", np.array(labels, np.int64), best)
        if not match.outputs[1:] or not match.outputs[1].name:
            return list(new)
        if not len(floats(match, "prob_a")):
            both = [new.add("Neg", scores)] if facts.classes == 2 else []
            new.into(match.outputs[1:2], "Concat", *both, scores, axis=1)
            return list(new)
        return _coupled(new, match, facts, scores)


def _pairs(match: Match, counts: list[int], features: int | None) -> str | _Pairs:
    total, classes = sum(counts), len(counts)
    coefficients, vectors = floats(match, "coefficients"), floats(match, "support_vectors")
    if len(coefficients) != total * (classes - 1) or not total or len(vectors) % total:
        return "its coefficients are not as many for each support vector"
    if features not in (None, len(vectors) // total):
        return "its support vectors are not one number for each feature"
    if len(match.attribute("classlabels_ints", counts)) != classes:
        return "its labels are not one for each class"
    by_row = coefficients.reshape(classes - 1, total)
    starts = np.concatenate([[0], np.cumsum(counts)])
    weights, first, second = [], [], []
    for i in range(classes):
        for j in range(i + 1, classes):
            column = np.zeros(total, np.float32)
            of_i, of_j = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
            column[of_i], column[of_j] = by_row[j - 1, of_i], by_row[i, of_j]
            weights.append(column)
            first.append(i)
            second.append(j)
    rows = np.ascontiguousarray(np.stack(weights, axis=1))
    return _Pairs(vectors.reshape(total, -1), rows, classes, first, second)


def _coupled(new: Replacement, match: Match, pairs: _Pairs, scores: NodeInput) -> list[NewNode]:
    """Return all nodes, the last of which are a Loop for the chances of the classes."""
    count = pairs.classes
    scaled = new.add("Mul", scores, floats(match, "prob_a"))
    inner = new.add("Add", scaled, floats(match, "prob_b"))
    chance = new.add("Sigmoid", new.add("Neg", inner))
    chance = new.add("Min", new.add("Max", chance, np.float32(_LEAST)), np.float32(1 - _LEAST))
    # r[i, j] is the chance of i against j: where each pair goes in a row of count * count numbers.
    to = np.zeros((2, len(pairs.first), count * count), np.float32)
    for number, (i, j) in enumerate(zip(pairs.first, pairs.second, strict=True)):
        to[0, number, i * count + j] = to[1, number, j * count + i] = 1
    other = new.add("Sub", np.float32(1), chance)
    flat = new.add("Add", new.add("MatMul", chance, to[0]), new.add("MatMul", other, to[1]))
    r = new.add("Reshape", flat, np.array([-1, count, count], np.int64))
    turned = new.add("Transpose", r, perm=[0, 2, 1])
    squares = new.reduce("ReduceSum", new.add("Mul", r, r), [1], keepdims=True)
    diagonal = new.add("Mul", squares, np.eye(count, dtype=np.float32))
    q = new.add("Sub", diagonal, new.add("Mul", r, turned))
    zeros = new.add("Mul", new.slice(flat, 1, 0, count), np.float32(0))
    start = new.add("Add", zeros, np.float32(1 / count))
    body = _coupling(q.name, count)
    steps = new.add("Identity", np.int64(max(_STEPS, count)))
    runs = new.add("Identity", np.array(True))
    loop = helper.make_node(
        "Loop", [steps.name, runs.name, start.name], [match.outputs[1].name], body=body
    )
    return [*new, loop]


def _coupling(q: str, count: int) -> onnx.GraphProto:
    """Return one step of libsvm's coupling, for all rows; a row that is exact stays."""
    nodes: list[onnx.NodeProto] = []
    stored: dict[str, npt.NDArray[Any]] = {}

    def constant(value: npt.ArrayLike) -> str:
        name = f"constant_{len(stored)}"
        stored[name] = np.asarray(value)
        return name

    def add(op_type: str, *inputs: str, **attributes: Any) -> str:
        output = f"{op_type}_{len(nodes)}"
        nodes.append(helper.make_node(op_type, inputs, [output], **attributes))
        return output

    def column(value: str, at: int) -> str:
        return add("Gather", value, constant(np.array([at], np.int64)), axis=1)

    one, two = constant(np.float32(1)), constant(np.float32(2))
    # Reshape and MatMul in place of operators whose axes are attributes or inputs, by the opset.
    flat = constant(np.array([-1, count], np.int64))
    wide = add("Reshape", "before", constant(np.array([-1, count, 1], np.int64)))
    product = add("Reshape", add("MatMul", q, wide), flat)
    ones = constant(np.ones((count, 1), np.float32))
    total = add("MatMul", add("Mul", "before", product), ones)
    error = add("Abs", add("Sub", product, total))
    errors = [column(error, at) for at in range(count)]
    limit = constant(np.float32(_ERROR / count))
    is_exact = add("Less", add("Max", *errors), limit)
    p = "before"
    for at in range(count):
        row = add("Reshape", column(q, at), flat)
        own, here = column(row, at), column(product, at)
        step = add("Div", add("Sub", total, here), own)
        p = add("Add", p, add("Mul", step, constant(np.eye(count, dtype=np.float32)[[at]])))
        more = add("Mul", step, add("Add", add("Mul", step, own), add("Mul", two, here)))
        scale = add("Add", one, step)
        total = add("Div", add("Div", add("Add", total, more), scale), scale)
        product = add("Div", add("Add", product, add("Mul", step, row)), scale)
        p = add("Div", p, scale)
    after = add("Where", is_exact, "before", p)
    least = add("ReduceMin", add("Cast", is_exact, to=TensorProto.INT32), keepdims=0)
    goes_on = add("Equal", least, constant(np.int32(0)))
    float_, bool_ = TensorProto.FLOAT, TensorProto.BOOL
    return helper.make_graph(
        nodes,
        "coupling",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("condition", bool_, []),
            helper.make_tensor_value_info("before", float_, [None, count]),
        ],
        [
            helper.make_tensor_value_info(goes_on, bool_, []),
            helper.make_tensor_value_info(after, float_, [None, count]),
        ],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
