"""Begin a plugin from a node of a model: what its class declares, and its rewrite."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import pluginkit
from pluginkit import find_plugins
from pluginkit.cli.main import main
from pluginkit.onnx.model.plugin_nodes import plugin_of_node
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites

NAMED = ["--plugins", "my_plugins", "--rewrites", "my_rewrites"]
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
Shape = Sequence[int | str]

pytestmark = pytest.mark.usefixtures("no_modules_of_other_tests")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def own(op_type: str, inputs: list[str], outputs: list[str], name: str = "", **given: Any) -> Any:
    return helper.make_node(op_type, inputs, outputs, name, domain="my.ops", **given)


def values(**types: tuple[int, Shape]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, *one) for name, one in types.items()]


def save(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    inner: Sequence[onnx.ValueInfoProto] = (),
    **stored: np.ndarray,
) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors, value_info=inner)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("my.ops", 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.save(made, "m.onnx")
    return made


def begun(node: str, name: str = "Mine") -> Any:
    """Begin a plugin for a node; return its class."""
    assert main(["new", name, "--from", f"m.onnx:{node}", *NAMED]) == 0
    return find_plugins(["my_plugins"])[f"{name}_PK", "1", "pluginkit"]


def shapes(cls: Any) -> dict[str, str]:
    return {
        port.name: f"like {port.like}" if port.like else str(port.shape)
        for port in (*cls.spec.inputs, *cls.spec.outputs)
    }


HOSTILE = 'x"""); raise SystemExit("${name}\n'


def boxes() -> onnx.ModelProto:
    return save(
        [
            own("Iou", ["boxes", "anchors"], ["iou"], threshold=0.5, mode=HOSTILE, sizes=[1, 2]),
            own("Iou", ["boxes", "few"], ["some"], "second", threshold=0.25, mode="b", sizes=[3]),
        ],
        values(boxes=(FLOAT, ["n", 4]), anchors=(FLOAT, ["m/2", 4])),
        values(iou=(FLOAT, ["n", "m/2"]), some=(FLOAT, ["n", 7])),
        few=np.ones((7, 4), np.float32),
    )


@pytest.mark.parametrize("node", ["0", "#0", "iou", "Iou"])
def test_a_class_declares_what_its_nodes_have_in_common(node: str) -> None:
    model = boxes()
    cls = begun(node)
    assert shapes(cls) == {"boxes": "(n, 4)", "anchors": "(m_2, 4)", "iou": "(n, m_2)"}
    assert {one.name: one.type_name for one in cls.spec.attributes} == {
        "mode": "str",
        "sizes": "tuple[int, ...]",
        "threshold": "float",
    }
    assert all(one.is_required for one in cls.spec.attributes)
    (case,) = cls.cases()
    assert [one.shape for one in case.inputs] == [(3, 4), (5, 4)]
    assert case.attributes == {"mode": HOSTILE, "sizes": (1, 2), "threshold": 0.5}
    (rewrite,) = (one for one in find_rewrites(["my_rewrites"]) if "Mine" in one.__name__)
    plugins = find_plugins(["my_plugins"])
    result = pluginkit.rewrite_model(model, plugins=plugins, rewrites=[rewrite])
    made = [plugin_of_node(one, plugins) for one in result.model.graph.node]
    assert [one.threshold for one in made] == [0.5, 0.25]


def test_one_node_has_its_own_sizes_and_a_shape_like_its_input(capsys: Any) -> None:
    save(
        [own("Swish", ["x"], ["y"], "s"), own("Pick", ["y", "at"], ["z"], k=2)],
        values(x=(FLOAT, [2, "n"])),
        values(z=(FLOAT, [2, 3])),
        values(y=(FLOAT, [2, "n"])),
        at=np.array([4, 5, 6]),
    )
    assert shapes(begun("s", "MySwish")) == {"x": "(2, n)", "y": "like x"}
    cls = begun("Pick", "MyPick")
    assert "Sizes in its shapes are those of the model" in capsys.readouterr().out
    assert shapes(cls) == {"x1": "(2, n)", "at": "(3,)", "z": "(2, 3)"}
    assert [[one.name for one in port.dtypes] for port in cls.spec.inputs[1:]] == [["int64"]]
    (case,) = cls.cases()
    assert case.inputs[1].tolist() == [4, 5, 6]


def test_nodes_that_differ_leave_open_what_differs() -> None:
    save(
        [
            own("F", ["a", "i"], ["u"], alpha=1.0),
            own("F", ["b", "j", "bias"], ["v"], beta=2),
        ],
        values(
            a=(FLOAT, [2, 8]),
            b=(FLOAT, [3, 9]),
            i=(INT64, [8]),
            j=(TensorProto.INT32, [9]),
            bias=(FLOAT, [1]),
        ),
        values(u=(FLOAT, [8, 1]), v=(FLOAT, [9, 1])),
    )
    cls = begun("#1")
    assert shapes(cls) == {"b": "(?, N)", "j": "(N,)", "bias": "(1,)", "v": "(N, 1)"}
    assert [port.optional for port in cls.spec.inputs] == [False, False, True]
    assert [one.name for one in cls.spec.types["I"]] == ["int32", "int64"]
    assert {one.name: one.default for one in cls.spec.attributes} == {"alpha": None, "beta": None}


def test_a_value_of_unknown_type_is_left_to_the_author() -> None:
    save(
        [own("F", ["x"], ["u"]), own("G", ["u"], ["v"]), helper.make_node("Relu", ["v"], ["y"])],
        values(x=(FLOAT, [2])),
        values(y=(FLOAT, ["k"])),
    )
    cls = begun("G")
    assert shapes(cls) == {"x": "None", "y": "None"}
    with pytest.raises(NotImplementedError, match=r"Mine\.cases"):
        cls.cases()


def test_an_operator_of_onnx_has_its_schemas_declaration_and_the_nodes_case() -> None:
    node = helper.make_node("Elu", ["x"], ["y"], "e", alpha=2.0)
    save([node], values(x=(FLOAT, [2, "n"])), values(y=(FLOAT, [2, "n"])))
    cls = begun("e")
    assert cls.spec.onnx_op.op_type == "Elu"
    assert shapes(cls) == {"x": "None", "y": "like x"}
    (case,) = cls.cases()
    assert (case.inputs[0].shape, case.attributes) == ((2, 3), {"alpha": 2.0})


def test_what_no_plugin_can_have_is_refused(capsys: Any, project: Path) -> None:
    body = helper.make_graph([], "b", [], values(x=(FLOAT, [2])))
    save(
        [
            own("D", ["d"], ["y"], "twice"),
            own("B", ["x"], ["z"], "twice", body=body),
            own("Bad-Name", ["x"], ["w"]),
        ],
        values(d=(TensorProto.DOUBLE, [2]), x=(FLOAT, [2])),
        values(y=(FLOAT, [2]), z=(FLOAT, [2]), w=(FLOAT, [2])),
    )
    for node, message in {
        "D": "PK643 'd' is double, which no plugin can have",
        "B": "PK643 .*its attribute 'body' is GRAPH",
        "w": "PK643 'my.ops::Bad-Name' is no operator",
        "twice": "PK644 2 nodes are called 'twice'; expected one.*one of #0, #1",
        "E": "PK644 the model has no node 'E'; it has D 'twice', B 'twice', #2 Bad-Name 'w'",
    }.items():
        assert main(["new", "Mine", "--from", f"m.onnx:{node}"]) == 2
        assert re.search(message, " ".join(capsys.readouterr().err.split()))
    assert main(["new", "Mine", "--from", "m.onnx"]) == 2
    assert [path.name for path in project.iterdir()] == ["m.onnx"]
