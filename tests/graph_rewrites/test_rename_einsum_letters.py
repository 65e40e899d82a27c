"""Equations of Einsums get lower-case letters in the order of the old ones."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from pluginkit.graph_rewrites.rename_einsum_letters import RenameEinsumLetters
from tests.graph_rewrites.rewriting import outputs_of, reason_against, rewritten


def model_of(equation, *ranks):
    names = [f"x{at}" for at in range(len(ranks))]
    size = 2 if max(ranks) < 8 else 1
    shape = np.einsum(equation.replace(" ", ""), *(np.zeros([size] * rank) for rank in ranks)).shape
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [size] * rank)
        for name, rank in zip(names, ranks, strict=True)
    ]
    node = helper.make_node("Einsum", names, ["y"], "node", equation=equation)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    graph = helper.make_graph([node], "g", values, [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize(
    ("equation", "ranks", "renamed"),
    [
        ("B G I D, B G J D -> B G I J", (4, 4), "a c d b, a c e b -> a c d e"),
        ("...Ij->...jI", (3,), "...ab->...ba"),
        ("jB,BK", (2, 2), "ca,ab"),
    ],
)
def test_letters_keep_their_order(equation, ranks, renamed):
    model = model_of(equation, *ranks)
    rng = np.random.default_rng(0)
    feeds = {f"x{at}": rng.random([2] * rank, np.float32) for at, rank in enumerate(ranks)}
    (node,) = rewritten(RenameEinsumLetters, model).graph.node
    assert node.attribute[0].s.decode() == renamed
    (got,) = outputs_of(RenameEinsumLetters, model, feeds)
    expected = np.einsum(equation.replace(" ", ""), *feeds.values())
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("equation", "ranks", "reason"),
    [
        ("ij,jk->ik", (2, 2), "TensorRT reads its letters: they are lower-case"),
        (
            "abcdefghijklmnopqrstuvwxyzA->A",
            (27,),
            "it has 27 letters; TensorRT reads 26",
        ),
    ],
)
def test_others_are_left(equation, ranks, reason):
    assert reason_against(RenameEinsumLetters, model_of(equation, *ranks)) == reason
