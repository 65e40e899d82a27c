"""Nodes that parse and do not build are named by scan without a build, and by the failed build."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit import BuildOptions, Copy, Input, Output, Plugin, float32, int64
from pluginkit.cli.main import main
from pluginkit.discovery import find_plugins
from pluginkit.engine import build_engine
from pluginkit.engine.parse.known_failures import known_failures
from pluginkit.engine.parse.parse_model import new_plugin_command
from pluginkit.engine.scan.scan_model import scan
from pluginkit.errors import BuildError, ParseError
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model

pytestmark = pytest.mark.trt
RTX = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


class Counted(Plugin):
    """n = the number of positive values of x."""

    x = Input(float32)
    n = Output(int64)

    def output_shapes(self, x: Any) -> Any:
        return (1,)

    def launches(self, x: Any, n: Any) -> Any:
        return ()

    def reference(self, x: Any) -> Any:
        return np.array([(x > 0).sum()])


def value(name: str, shape: Any, elem_type: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, elem_type, shape)


def model(nodes: list[onnx.NodeProto], inputs: Any, outputs: Any, **stored: Any) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(np.asarray(each), name) for name, each in stored.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("pluginkit", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def suppression() -> onnx.ModelProto:
    """One that no rewrite replaces, since ONNX allows thresholds up to 1."""
    return model(
        [helper.make_node("NonMaxSuppression", ["b", "s", "most", "iou"], ["y"], "nms")],
        [value("b", [1, 50, 4]), value("s", [1, 3, 50])],
        [value("y", ["n", 3], INT64)],
        most=np.array([10]),
        iou=np.float32([1.5]),
    )


def scattered_shape() -> onnx.ModelProto:
    return model(
        [
            helper.make_node("Shape", ["x"], ["sh"]),
            helper.make_node("ScatterElements", ["sh", "at", "two"], ["ns"], reduction="mul"),
            helper.make_node("Identity", ["ns"], ["same"]),
            helper.make_node("Expand", ["v", "same"], ["y"], "expand"),
        ],
        [value("x", ["a", "b"]), value("v", [1, 1])],
        [value("y", ["c", "d"])],
        at=np.array([0]),
        two=np.array([2]),
    )


@pytest.mark.parametrize(
    ("made", "node", "reason"),
    [
        (suppression, "NonMaxSuppression 'nms'", "tensorrt_rtx has no kernel for"),
        (scattered_shape, "Expand 'expand'", "is a size that ScatterElements_PK"),
    ],
)
def test_scan_and_build_name_the_node(made: Any, node: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(made(), path)
    report = scan(path, flavour="tensorrt_rtx")
    (left,) = report.left
    assert (f"{left.node.op_type} '{left.node.label}'", left.stage) == (node, "builder")
    assert reason in left.reason
    with pytest.raises(BuildError, match="PK521") as caught:
        build_engine(path, options=RTX)
    assert caught.value.where == f"main graph, node {node}"
    assert reason in str(caught.value.cause)
    assert "TensorRT said: " in str(caught.value.cause)


@pytest.mark.parametrize(
    ("op_type", "inputs", "is_refused"),
    [
        ("ConstantOfShape", ["n"], True),
        ("Reshape", ["x", "n"], True),
        ("Expand", ["x", "n"], True),
        ("Slice", ["x", "zero", "n"], True),
        ("TopK", ["x", "n"], True),
        ("Tile", ["x", "n"], True),
        ("Gather", ["x", "n"], False),
        ("Cast", ["n"], False),
    ],
)
def test_a_size_from_a_plugin_is_refused_where_a_size_is_read(
    op_type: str, inputs: list[str], is_refused: bool
) -> None:
    outputs = ["y", "i"] if op_type == "TopK" else ["y"]
    attributes = {"to": FLOAT} if op_type == "Cast" else {}
    nodes = [
        helper.make_node("Counted_PK", ["x"], ["n"], domain="pluginkit"),
        helper.make_node(op_type, inputs, outputs, "reads", **attributes),
    ]
    made = model(nodes, [value("x", [8])], [value("y", None)], zero=np.array([0]))
    found = list(known_failures(made, {Counted.spec.key: Counted}, "tensorrt_rtx"))
    assert [one.node for one in found] == ([f"{op_type} 'reads'"] if is_refused else [])


def test_a_branch_does_not_read_a_plugins_size_either() -> None:
    counted = helper.make_node("Counted_PK", ["x"], ["n"], domain="pluginkit")
    made = _if(helper.make_node("Expand", ["x", "n"], ["t"], "reads"), [value("x", [8])], ([8],))
    made.graph.node.insert(0, counted)
    (found,) = known_failures(made, {Counted.spec.key: Counted}, "tensorrt_rtx")
    assert (found.node, found.where) == ("Expand 'reads'", "main graph / If 'if'.then_branch")


def _text(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 18]> g {text}')


#: The model, the nodes that are left, and the reason.
BEYOND = {
    "growing": (
        """(float[n, 3] x, int64 runs) => (float[m, 3] y)
        <bool go = {1}, float[1, 3] start = {1, 2, 3}>
        { y = Loop (runs, go, start) <body = b (int64 i, bool c, float[k, 3] r)
          => (bool d, float[l, 3] e)
          { d = Identity(c) p = Tanh(r) e = Concat<axis = 0>(r, p) }> }""",
        ["Loop"],
        "its body appends to 'r'",
    ),
    "sequence": (
        """(float[n, 3] x, int64[n] sizes) => (float[n, 3] y) <int64 zero = {0}>
        { s = SplitToSequence<axis = 0>(x, sizes) y = SequenceAt(s, zero) }""",
        ["SplitToSequence", "SequenceAt"],
        "TensorRT has no sequences.",
    ),
    "sequence as output": (
        """(float[2, 3] x) => (seq(float[2, 3]) y) { a = Neg(x) y = SequenceConstruct(x, a) }""",
        ["SequenceConstruct"],
        "'y' is an output of the model and a sequence",
    ),
    "strings": (
        """(string[2] x) => (string[2] y)
        { w = StringNormalizer<case_change_action = "LOWER">(x) y = Identity(w) }""",
        ["StringNormalizer", "Identity"],
        "here a node does more",
    ),
    "stored strings": (
        """(float[n, 2] x) => (float[n, 2] y)
        { w = Constant<value_strings = ["1.5", "2"]>() f = Cast<to = 1>(w) y = Mul(x, f) }""",
        ["Constant", "Cast"],
        "here a node does more",
    ),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_no_plugin_could_take_has_a_reason_of_its_own(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text, nodes, reason = BEYOND[name]
    path = tmp_path / "m.onnx"
    onnx.save(_text(text), path)
    left = scan(path, flavour="tensorrt_rtx").left
    assert [one.node.op_type for one in left] == nodes
    assert all(reason in one.reason for one in left)
    assert main(["scan", str(path), "--tensorrt", "tensorrt_rtx"]) == 1
    assert "To begin a plugin" not in capfd.readouterr().out


def test_a_refused_build_says_what_scan_says(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(_text(BEYOND["sequence"][0]), path)
    with pytest.raises(ParseError) as caught:
        build_engine(path, options=RTX)
    assert "TensorRT has no sequences." in (caught.value.cause or "")


def test_a_size_output_is_a_size() -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["nz"]),
        helper.make_node("Shape", ["nz"], ["sh"]),
        helper.make_node("Gather", ["sh", "one"], ["n"]),
        helper.make_node("ConstantOfShape", ["n"], ["y"]),
    ]
    made = model(nodes, [value("x", [8])], [value("y", ["k"])], one=np.array([1]))
    result = rewrite_model(made)
    assert result.applied
    assert not list(known_failures(result.model, find_plugins(), "tensorrt_rtx"))


def test_a_refused_operator_comes_with_the_command_that_goes_on(tmp_path: Path) -> None:
    node = helper.make_node("MaxRoiPool", ["x", "rois"], ["y"], "roi", pooled_shape=[2, 2])
    inputs = [value("x", [1, 4, 8, 8]), value("rois", [3, 5])]
    path = tmp_path / "m.onnx"
    onnx.save(model([node], inputs, [value("y", [3, 4, 2, 2])]), path)
    with pytest.raises(ParseError, match="PK520") as caught:
        build_engine(path, options=RTX, rewrites=[])
    command = "pluginkit new MyMaxRoiPool --onnx-op MaxRoiPool"
    assert f"begin a plugin for it with {command}" in str(caught.value.fix)
    own = new_plugin_command("my_op", "a.b", Path("m.onnx"), "a node")
    assert own == "pluginkit new MyMyOp --from 'm.onnx:a node'"
    left = new_plugin_command("Erfc", "", Path("m.onnx"), "erfc")
    assert left == "pluginkit new MyErfc --from m.onnx:erfc"


def test_a_function_that_an_exporter_left_as_it_is_has_a_reason(tmp_path: Path) -> None:
    made = model(
        [helper.make_node("Erfc", ["x"], ["y"], "erfc")], [value("x", [3])], [value("y", [3])]
    )
    path = tmp_path / "m.onnx"
    onnx.save(made, path)
    with pytest.raises(ParseError, match="PK520") as caught:
        build_engine(path, options=RTX)
    assert "an exporter has left a function of its framework as it is" in str(caught.value.cause)


def _if(node: onnx.NodeProto, inputs: Any, output: Any, *before: onnx.NodeProto) -> onnx.ModelProto:
    """A node in a branch; the other branch gives what the graph stores as ``other``."""
    other = helper.make_node("Identity", ["other"], ["e"])
    out, other_out = (value(name, *output) for name in (node.output[0], "e"))
    branches = {
        "then_branch": helper.make_graph([*before, node], "t", [], [out]),
        "else_branch": helper.make_graph([other], "e", [], [other_out]),
    }
    nodes = [helper.make_node("If", ["c"], ["y"], "if", **branches)]
    inputs = [*inputs, value("other", *output), value("c", [], TensorProto.BOOL)]
    return model(nodes, inputs, [value("y", *output)])


class Guarded(Plugin):
    """y = x, with a workspace that does not follow from symbolic shapes."""

    x = Input(float32)
    y = Output(float32, like="x")

    def workspace_bytes(self, x: Any) -> Any:
        return 64 if x.shape[0] > 4 else 0

    def launches(self, x: Any, y: Any, workspace: Any) -> Any:
        return Copy(y, x)

    def reference(self, x: Any) -> Any:
        return x


def test_a_workspace_in_a_body_without_a_bound_explains_a_failed_build() -> None:
    node = helper.make_node("Guarded_PK", ["x"], ["t"], "sc", domain="pluginkit")
    plugins = {Guarded.spec.key: Guarded}
    result = rewrite_model(_if(node, [value("x", ["n", 4])], (["n", 4],)), plugins=plugins)
    assert not list(known_failures(result.model, result.plugins, "tensorrt_rtx"))
    (found,) = known_failures(result.model, result.plugins, "tensorrt_rtx", likely=True)
    assert "asks for a workspace inside a body" in found.reason
    assert "Guarded.workspace_bound" in found.reason
    assert found.where == "main graph / If 'if'.then_branch"


SLICED = """<ir_version: 9, opset_import: ["" : 17]>
    g (float[n, 3] x, int64 runs, int64[1] far) => (float[a, b, 3] y)
    <bool go = {1}, int64[1] first = {0}> {
        y = Loop (runs, go) <
            body = b (int64 i, bool c) => (bool d, float[k, 3] part)
            { d = Identity(c) s = Shape(x) at = Unsqueeze(i, first)
              part = Slice(x, first, END) }> }"""


@pytest.mark.parametrize(("end", "count"), [("at", 1), ("far", 0), ("s", 0)])
def test_a_size_that_changes_in_a_loop_explains_a_failed_build(end: str, count: int) -> None:
    made = onnx.parser.parse_model(SLICED.replace("END", end))
    assert not list(known_failures(made, {}, "tensorrt_rtx"))
    found = list(known_failures(made, {}, "tensorrt_rtx", likely=True))
    assert len(found) == count
    assert all("follows from what changes in a loop" in each.reason for each in found)


def test_a_size_that_depends_on_data_in_a_body_is_known_before_the_build() -> None:
    """A Softmax is not safe to lift: its result decides what NonZero gives."""
    nonzero = helper.make_node("NonZero", ["s"], ["t"], "nz")
    before = helper.make_node("Softmax", ["x"], ["s"])
    result = rewrite_model(_if(nonzero, [value("x", ["n", 4])], ([2, "k"], INT64), before))
    (found,) = known_failures(result.model, result.plugins, "tensorrt_rtx")
    assert "such sizes in the main graph only" in found.reason
    assert found.node == "NonZero_PK 'nz'"


def test_a_layout_of_a_cpu_is_named_where_the_parser_sees_an_operator_of_onnx(tmp_path: Path):
    nchwc = "com.microsoft.nchwc"
    made = model(
        [
            helper.make_node("Conv", ["x", "w"], ["r"], domain=nchwc, kernel_shape=[1, 1]),
            helper.make_node("ReorderOutput", ["r"], ["y"], domain=nchwc, channels=8),
        ],
        [value("x", [1, 8, 4, 4])],
        [value("y", [1, 8, 4, 4])],
        w=np.ones((8, 8, 1, 1), np.float32),
    )
    made.opset_import.append(helper.make_opsetid(nchwc, 1))
    made.graph.value_info.append(value("r", [1, 8, 4, 4]))
    path = tmp_path / "m.onnx"
    onnx.save(made, path)
    found = {one.node.op_type: one for one in scan(path, rewrites=[]).after}
    assert {one.status for one in found.values()} == {"refused"}
    assert all("ORT_ENABLE_EXTENDED" in one.reason for one in found.values())
