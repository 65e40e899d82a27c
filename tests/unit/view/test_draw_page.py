"""From files to documents."""

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit.errors import ModelError
from pluginkit.onnx.rewriting.rewrite import Replacement, Rewrite
from pluginkit.view.draw_page import draw_models
from pluginkit.view.node_status import Verdict, Verdicts


class ReplaceSoftsign(Rewrite):
    """Softsign(x) -> Abs(x), which is wrong"""

    pattern = "Softsign"

    def rewrite(self, match: Any) -> Any:
        return Replacement(match).end("Abs", match.inputs[0])


class FailOnSoftsign(Rewrite):
    """Softsign(x) -> an exception"""

    pattern = "Softsign"

    def rewrite(self, match: Any) -> Any:
        raise ZeroDivisionError("by the author")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    nodes = [
        helper.make_node("Softsign", ["x"], ["s"], name="soft"),
        helper.make_node("Relu", ["s"], ["y"], name="relu"),
    ]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def verdicts(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(node["status"], node["reason"]) for node in document["scopes"][0]["nodes"]]


def test_the_parser_is_asked_and_rewrites_have_the_last_word(path: Path) -> None:
    def parser(asked: Path, model: onnx.ModelProto) -> Verdicts:
        assert (asked, len(model.graph.node)) == (path, 2)
        return {
            ("main graph", 0): Verdict("refused", "no way"),
            ("main graph", 1): Verdict("native"),
        }

    (plain,) = draw_models([path], rewrites=[], plugins={}, parser=parser)
    assert verdicts(plain) == [("refused", "no way"), ("native", "")]
    (covered,) = draw_models([path], rewrites=[ReplaceSoftsign], plugins={}, parser=parser)
    assert verdicts(covered) == [
        ("rewritten", "no way\nReplaceSoftsign puts Abs in its place."),
        ("native", ""),
    ]


def test_a_rewrite_that_fails_is_noted_and_the_model_is_drawn(path: Path) -> None:
    (document,) = draw_models([path], rewrites=[FailOnSoftsign], plugins={})
    assert verdicts(document) == [("unknown", ""), ("unknown", "")]
    (note,) = document["notes"]
    assert "FailOnSoftsign failed" in note


def test_two_models_are_compared_and_one_is_not(path: Path) -> None:
    (alone,) = draw_models([path], rewrites=[], plugins={})
    assert "differs" not in alone["scopes"][0]["nodes"][0]
    first, _ = draw_models([path, path], rewrites=[], plugins={})
    assert [node["differs"] for node in first["scopes"][0]["nodes"]] == [False, False]


def test_a_missing_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="PK400"):
        draw_models([tmp_path / "missing.onnx"], rewrites=[], plugins={})
