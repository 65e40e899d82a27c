"""Scans with tensorrt_rtx's real parser and builder, which need no GPU."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

import pluginkit
from pluginkit import RewriteChoice
from pluginkit.discovery import find_plugins
from pluginkit.engine.scan.scan_report import NodeReport, ScanReport
from pluginkit.errors import MissingDependencyError, UsageError

pytestmark = pytest.mark.trt

MODELS = Path(__file__).parents[2] / "examples" / "models"
INT64, BOOL, INT16 = TensorProto.INT64, TensorProto.BOOL, TensorProto.INT16


def tensor(name: str, shape: Sequence[Any], dtype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def node(op_type: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> Any:
    return helper.make_node(op_type, inputs.split(), outputs.split(), name=name, **attributes)


def save(
    folder: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **parts: Any
) -> Path:
    functions = parts.pop("functions", [])
    graph = helper.make_graph(nodes, "graph", inputs, outputs, **parts)
    opsets = [
        helper.make_opsetid(domain, 20 if not domain else 1) for domain in ("", "my", "pluginkit")
    ]
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def scan(path: Path, **options: Any) -> ScanReport:
    return pluginkit.scan(path, flavour="tensorrt_rtx", **{"rewrites": [], **options})


def labels(reports: Sequence[NodeReport], status: str) -> list[str]:
    return [one.node.label for one in reports if one.status == status]


X = [tensor("x", [4, 4])]


def test_operators_of_another_domain_are_refused_by_name(tmp_path: Path) -> None:
    """The parser takes both for ONNX's Softmax."""
    nodes = [node("Softmax", "x", "s", "own", domain="my"), node("Softmax", "s", "y", "onnx")]
    report = scan(save(tmp_path, nodes, X, [tensor("y", [4, 4])]))
    assert labels(report.left, "refused") == ["own"]
    (left,) = report.left
    assert "is of domain 'my'" in left.reason
    assert labels(report.before, "native") == ["onnx"]


def test_every_refused_node_is_found_with_its_reason(tmp_path: Path) -> None:
    nodes = [
        node("Det", "x", "d", "det"),
        node("NonZero", "x", "i", "nonzero"),
        node("Relu", "d", "r", "relu"),
        node("ScatterElements", "x k u", "s", "add", reduction="add"),
        node("ScatterElements", "s k u", "t", "mul", reduction="mul"),
        node("Unique", "t", "n", "unique"),
    ]
    outputs = [tensor("r", []), tensor("i", [2, "k"], INT64), tensor("n", ["m"])]
    index = helper.make_tensor("k", INT64, [1, 4], [0] * 4)
    inputs = [*X, tensor("u", [1, 4])]
    report = scan(save(tmp_path, nodes, inputs, outputs, initializer=[index]))
    assert labels(report.left, "refused") == ["det", "nonzero", "add", "mul", "unique"]
    assert labels(report.before, "native") == ["relu"]
    reasons = {one.node.label: one.reason for one in report.left}
    assert "checkDet" in reasons["det"]
    assert "NonZero plugin creator" in reasons["nonzero"]
    assert reasons["add"] == reasons["mul"] == "Unsupported reduction type"
    assert not report.is_accepted
    assert report.counts()["refused"] == 5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_what_is_refused_does_not_depend_on_what_is_around_it(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)  # noqa: S311  # a model, no secret
    refused = [
        ("ScatterElements", "k u", {"reduction": "add"}),
        ("ScatterElements", "k u", {"reduction": "mul", "axis": 1}),
        ("ScatterND", "row u", {"reduction": "max"}),
        ("Upsampled", "", {"domain": "my"}),
    ]
    native = [("Relu", "", {}), ("Neg", "", {}), ("Add", "x", {}), ("Transpose", "", {})]
    values, nodes, wrong = ["x"], [], []
    for at in range(60):
        is_refused = rng.random() < 0.3
        op_type, more, attributes = rng.choice(refused if is_refused else native)
        read = f"{rng.choice(values)} {more}"
        nodes.append(node(op_type, read, f"v{at}", f"n{at}", **attributes))
        wrong += [f"n{at}"] if is_refused else []
        values.append(f"v{at}")
    constants = [
        helper.make_tensor("k", INT64, [1, 4], [0] * 4),
        helper.make_tensor("row", INT64, [1, 1], [2]),
    ]
    path = save(
        tmp_path,
        nodes,
        [*X, tensor("u", [1, 4])],
        [tensor(values[-1], [4, 4])],
        initializer=constants,
        value_info=[tensor(name, [4, 4]) for name in values[1:-1]],
    )
    report = scan(path)
    assert wrong
    assert labels(report.left, "refused") == wrong
    assert report.counts()["native"] == 60 - len(wrong)


def branch(*nodes: Any, shape: Sequence[Any] = (4, 4)) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "branch", [], [tensor(nodes[-1].output[0], shape)])


def test_both_branches_of_an_if_are_searched(tmp_path: Path) -> None:
    then = branch(node("Det", "x", "a", "A"), node("Add", "x a", "t"))
    other = branch(
        node("NonZero", "x", "b", "B"), node("Unique", "x", "c", "C"), node("Abs", "x", "e")
    )
    choice = node("If", "c0", "y", "choice", then_branch=then, else_branch=other)
    inputs = [tensor("c0", [], BOOL), *X]
    report = scan(save(tmp_path, [choice], inputs, [tensor("y", [4, 4])]))
    assert {(one.node.where, one.node.position, one.node.label) for one in report.left} == {
        ("main graph / If 'choice'.then_branch", 0, "A"),
        ("main graph / If 'choice'.else_branch", 0, "B"),
        ("main graph / If 'choice'.else_branch", 1, "C"),
    }
    assert labels(report.after, "native") == ["choice", "e", "t"]


def test_a_branch_that_a_constant_decides_against_is_not_reached(tmp_path: Path) -> None:
    then, other = (
        branch(node("Unique", "x", "u", "U"), node("Abs", "x", "t")),
        branch(node("Neg", "x", "e")),
    )
    choice = node("If", "c0", "y", "choice", then_branch=then, else_branch=other)
    never = helper.make_tensor("c0", BOOL, [], [False])
    report = scan(save(tmp_path, [choice], X, [tensor("y", [4, 4])], initializer=[never]))
    assert labels(report.after, "unknown") == ["U", "t"]
    assert report.is_accepted


def test_a_loop_around_refused_nodes_is_taken(tmp_path: Path) -> None:
    inner = [
        node("Identity", "keep", "keep_on", "keep"),
        node("Compress", "x mask", "c", "compress", axis=0),
        node("ReduceSum", "c", "t", "sum", keepdims=0),
    ]
    inputs = [tensor("at", [], INT64), tensor("keep", [], BOOL)]
    body = helper.make_graph(inner, "body", inputs, [tensor("keep_on", [], BOOL), tensor("t", [])])
    given = [tensor("n", [], INT64), tensor("go", [], BOOL), tensor("mask", [4], BOOL), *X]
    path = save(
        tmp_path, [node("Loop", "n go", "y", "loop", body=body)], given, [tensor("y", ["n"])]
    )
    report = scan(path)
    assert labels(report.left, "refused") == ["compress"]
    assert labels(report.after, "native") == ["loop", "keep", "sum"]


def test_nodes_of_functions_go_by_the_function(tmp_path: Path) -> None:
    inner = [
        node("Relu", "a", "r"),
        node("Unique", "r", "q", "inner"),
        node("NonZero", "r", "b", "last"),
    ]
    function = helper.make_function("my", "F", ["a"], ["b"], inner, [helper.make_opsetid("", 20)])
    calls = [node("F", "x", "y", "first", domain="my"), node("F", "x", "z", "second", domain="my")]
    outputs = [tensor("y", [2, "k"], INT64), tensor("z", [2, "m"], INT64)]
    report = scan(save(tmp_path, calls, X, outputs, functions=[function]))
    assert [(one.node.where, one.node.position) for one in report.left] == [
        ("function my::F", 1),
        ("function my::F", 2),
    ]
    assert labels(report.after, "native") == ["first", "second", "r"]


def test_shapes_that_are_computed_behind_a_refused_node_are_in_context(tmp_path: Path) -> None:
    """Given alone, a Reshape to a shape of unknown length would be refused."""
    nodes = [
        node("Unique", "x", "u", "unique"),
        node("Shape", "u", "s"),
        node("Concat", "s one", "t", axis=0),
        node("Reshape", "u t", "y"),
    ]
    one = helper.make_tensor("one", INT64, [1], [1])
    report = scan(save(tmp_path, nodes, X, [tensor("y", ["m", 1])], initializer=[one]))
    assert labels(report.left, "refused") == ["unique"]
    assert report.counts()["native"] == 3


def test_an_input_of_a_type_that_is_refused_is_a_reason_against_its_readers(tmp_path: Path) -> None:
    nodes = [
        node("Cast", "q", "y", "cast", to=TensorProto.FLOAT),
        node("Unique", "x", "u", "unique"),
    ]
    path = save(
        tmp_path, nodes, [*X, tensor("q", [3], INT16)], [tensor("y", [3]), tensor("u", ["k"])]
    )
    report = scan(path)
    assert labels(report.left, "refused") == ["cast", "unique"]
    assert "'q'" in report.left[0].reason


def test_a_node_with_two_such_inputs_is_refused_for_both(tmp_path: Path) -> None:
    inputs = [tensor("p", [3], INT16), tensor("q", [3], INT16)]
    report = scan(
        save(tmp_path, [node("Less", "p q", "y", "less")], inputs, [tensor("y", [3], BOOL)])
    )
    assert [one.node.label for one in report.left] == ["less"]
    assert "'p'" in report.left[0].reason
    assert "'q'" in report.left[0].reason
    assert report.problems == ()


def test_an_initializer_of_a_type_that_is_refused_is_a_reason_too(tmp_path: Path) -> None:
    nodes = [node("Cast", "q", "y", "cast", to=TensorProto.FLOAT), node("Neg", "x", "z", "neg")]
    stored = [helper.make_tensor("q", INT16, [3], [1, 2, 3])]
    outputs = [tensor("y", [3]), tensor("z", [4, 4])]
    report = scan(save(tmp_path, nodes, X, outputs, initializer=stored))
    assert labels(report.left, "refused") == ["cast"]
    assert "'q'" in report.left[0].reason
    assert labels(report.after, "native") == ["neg"]


def test_behind_types_that_nothing_can_stand_in_for_the_search_goes_on(tmp_path: Path) -> None:
    nodes = [
        node("Cast", "x", "a", "to uint8", to=TensorProto.UINT8),
        node("BitShift", "a a", "b", "shift", direction="LEFT"),
        node("Cast", "b", "c", "from uint8", to=TensorProto.FLOAT),
        node("Relu", "c", "d", "relu"),
        node("Unique", "d", "y", "unique"),
    ]
    report = scan(save(tmp_path, nodes, X, [tensor("y", ["k"])]))
    assert labels(report.left, "refused") == ["to uint8", "unique"]
    assert labels(report.after, "unknown") == ["shift", "from uint8"]
    assert labels(report.after, "native") == ["relu"]


@pytest.mark.slow
def test_a_node_that_kills_the_parser_is_a_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    nodes = [
        node("DepthToSpace", "x", "a", "zero", blocksize=0),
        node("Relu", "x", "b", "relu"),
        node("Unique", "b", "c", "unique"),
        node("DepthToSpace", "b", "d", "again", blocksize=0),
    ]
    dims = ["p", "q", "r", "s"]
    outputs = [tensor("a", dims), tensor("b", [1, 4, 4, 4]), tensor("c", ["k"]), tensor("d", dims)]
    report = scan(save(tmp_path, nodes, [tensor("x", [1, 4, 4, 4])], outputs))
    assert labels(report.left, "refused") == ["zero", "unique", "again"]
    assert "SIGFPE" in report.left[0].reason
    assert labels(report.after, "native") == ["relu"]


@pytest.mark.slow
def test_a_real_model_before_and_after_the_rewrites() -> None:
    path = MODELS / "sage_ts.onnx"
    report = scan(path, rewrites=None)
    assert report.is_accepted
    rewritten = [one for one in report.before if one.rewrites == ("ReplaceScatterElements",)]
    assert [one.node.op_type for one in rewritten] == ["ScatterElements"] * 5
    assert all(one.status == "rewritten" for one in rewritten)
    assert all(one.made == ("ScatterElements_PK",) for one in rewritten)
    assert all(one.reason == "Unsupported reduction type" for one in rewritten)
    assert {one.node.op_type for one in report.after if one.status == "plugin"} == {
        "ScatterElements_PK"
    }
    assert len(report.before) == len(onnx.load(path).graph.node) + sum(
        len(attribute.g.node) for each in onnx.load(path).graph.node for attribute in each.attribute
    )
    choice = RewriteChoice(skip=["ReplaceScatterElements"])
    assert len(scan(path, rewrites=None, choice=choice).left) == 5


@pytest.mark.slow
def test_all_of_a_large_model_is_named(tmp_path: Path) -> None:
    nodes = [
        node("ScatterElements", f"v{at} k u", f"v{at + 1}", f"n{at}", reduction="add")
        if at % 50 == 0
        else node(("Relu", "Neg")[at % 2], f"v{at}", f"v{at + 1}", f"n{at}")
        for at in range(5000)
    ]
    inputs = [tensor("v0", ["n", 4]), tensor("u", [1, 4])]
    index = helper.make_tensor("k", INT64, [1, 4], [0] * 4)
    report = scan(save(tmp_path, nodes, inputs, [tensor("v5000", ["n", 4])], initializer=[index]))
    assert labels(report.left, "refused") == [f"n{at}" for at in range(0, 5000, 50)]
    assert report.counts()["native"] == 4900
    assert report.seconds < 60


# Plugins

HALVE = '''
from pluginkit import CudaKernel, Input, Launch, Output, Plugin, ceil_div, float32

class Halve(Plugin):
    """y = x / 2"""

    plugin_name = "ScanHalve"
    x = Input(float32)
    y = Output(float32)
    kernel = CudaKernel('extern "C" __global__ void halve(const float*, float*) {}', "halve")

    def output_shapes(self, x):
        if x.ndim == 1:
            raise RuntimeError("halve takes no vectors")
        return x.shape

    def launches(self, x, y):
        return Launch(self.kernel, grid=ceil_div(x.size, 256), block=256, args=(x, y))

    def reference(self, x):
        return x / 2
'''


def halves(folder: Path, shape: list[Any]) -> tuple[Path, Any]:
    plugins = folder / "halves"
    plugins.mkdir()
    (plugins / "scan_halve.py").write_text(HALVE)
    attributes = {"plugin_version": "1", "plugin_namespace": "pluginkit"}
    nodes = [
        node("ScanHalve", "x", "y", "halve", domain="pluginkit", **attributes),
        node("Unique", "x", "u", "unique"),
    ]
    outputs = [tensor("y", shape), tensor("u", ["k"])]
    return save(folder, nodes, [tensor("x", shape)], outputs), find_plugins([plugins])


def test_a_plugin_is_taken_next_to_a_refused_node(tmp_path: Path) -> None:
    path, plugins = halves(tmp_path, ["n", 4])
    report = scan(path, plugins=plugins)
    assert [(one.node.label, one.status) for one in report.before] == [
        ("halve", "plugin"),
        ("unique", "refused"),
    ]


def test_what_a_plugin_raises_is_the_reason_against_its_node(tmp_path: Path) -> None:
    path, plugins = halves(tmp_path, ["n"])
    report = scan(path, plugins=plugins)
    assert labels(report.left, "refused") == ["halve", "unique"]
    assert "halve takes no vectors" in report.left[0].reason


# Builds


def selections(folder: Path, *more: Any) -> Path:
    """A NonMaxSuppression that no rewrite replaces, since ONNX allows thresholds up to 1."""
    count = helper.make_tensor("k", INT64, [1], [2])
    iou = helper.make_tensor("iou", TensorProto.FLOAT, [1], [1.5])
    nodes = [
        node("NonMaxSuppression", "boxes scores k iou", "y", "nms"),
        node("Relu", "scores", "z", "relu"),
    ]
    inputs = [tensor("boxes", [1, 4, 4]), tensor("scores", [1, 1, 4])]
    outputs = [tensor("y", ["m", 3], INT64), tensor("z", [1, 1, 4])]
    return save(folder, [*nodes, *more], inputs, outputs, initializer=[count, iou])


@pytest.mark.slow
def test_what_parses_and_does_not_build_is_told_with_and_without_a_build(tmp_path: Path) -> None:
    path = selections(tmp_path)
    known = scan(path)
    assert [(one.node.label, one.stage) for one in known.left] == [("nms", "builder")]
    assert "has no kernel for NonMaxSuppression" in known.left[0].reason
    assert known.is_built is None
    report = scan(path, build=True)
    assert [(one.node.label, one.stage) for one in report.left] == [("nms", "builder")]
    assert "nms" in report.left[0].reason
    assert report.is_built is False
    assert labels(report.before, "native") == ["relu"]


def test_a_build_does_without_the_nodes_that_are_refused(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "r"), node("Det", "r", "d", "det"), node("Abs", "d", "y")]
    report = scan(
        save(tmp_path, nodes, [tensor("x", ["n", 4, 4])], [tensor("y", ["n"])]), build=True
    )
    assert report.is_built is True
    assert [(one.node.label, one.stage) for one in report.left] == [("det", "parser")]


# Usage


def test_a_flavour_without_a_parser_is_refused() -> None:
    with pytest.raises(
        MissingDependencyError, match=r"PK550 tensorrt_lean reads no ONNX models"
    ) as caught:
        pluginkit.scan(MODELS / "sage_dyn.onnx", flavour="tensorrt_lean")
    assert "--tensorrt" in str(caught.value.fix)


def test_an_unknown_capability_comes_back_from_the_other_process(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="PK512"):
        scan(selections(tmp_path), build=True, compute_capabilities=[(9, 0)])
