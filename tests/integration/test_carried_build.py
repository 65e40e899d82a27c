"""TensorRT builds models with values of types that it lacks, once CarryIntegers carries them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit.engine.build.build_engine import build_engine
from pluginkit.engine.build.build_options import BuildOptions
from pluginkit.errors import BuildError, ParseError
from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from tests.graph_rewrites.carried_models import body, elem, model_of, trips
from tests.graph_rewrites.samples import node_model

pytestmark = [pytest.mark.trt, pytest.mark.slow, pytest.mark.usefixtures("rtx")]


def _quantized(zero, *, branch=False):
    """Quantized, moved in a branch or not, and dequantized."""
    move = helper.make_node("Transpose", ["q"], ["r"])
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), move]
    if branch:
        then = body([helper.make_node("Transpose", ["q"], ["t"])], [], [("t", zero.dtype, [3, 2])])
        add = [
            helper.make_node("Transpose", ["q"], ["p"]),
            helper.make_node("Max", ["p", "p"], ["e"]),
        ]
        other = body(add, [], [("e", zero.dtype, [3, 2])])
        nodes[1] = helper.make_node("If", ["c"], ["r"], then_branch=then, else_branch=other)
    nodes.append(helper.make_node("DequantizeLinear", ["r", "s", "z"], ["y"]))
    feeds = {"x": np.ones((2, 3), np.float32)} | ({"c": np.array(True)} if branch else {})
    return model_of(nodes, feeds, {"y": ("float32", [3, 2])}, {"s": np.float32(0.1), "z": zero})


def _casts(between):
    nodes = [
        helper.make_node("Cast", ["x"], ["a"], to=elem(between)),
        helper.make_node("Add", ["a", "a"], ["b"]),
        helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT),
    ]
    return model_of(nodes, {"x": np.ones(4, np.float32)}, {"y": ("float32", [4])})


def _loop():
    inner = body(
        [helper.make_node("Add", ["s", "x"], ["n"]), helper.make_node("Identity", ["go"], ["on"])],
        [("k", "int64", []), ("go", "bool", []), ("s", "uint8", [5])],
        [("on", "bool", []), ("n", "uint8", [5])],
    )
    nodes = [helper.make_node("Loop", ["count", "always", "x"], ["y"], body=inner)]
    return model_of(nodes, {"x": np.ones(5, np.uint8)}, {"y": ("uint8", [5])}, trips(3))


BUILT = {
    "quantized": _quantized(np.uint8(128)),
    "quantized, in a branch": _quantized(np.uint8(0), branch=True),
    **{f"cast to {each}": _casts(each) for each in ("int16", "uint16", "uint32")},
    "a loop": _loop(),
    "int8 with a stored int8": node_model(
        "Add", {"a": np.ones(3, np.int8), "b": np.ones(3, np.int8)}, stored=["b"]
    ),
}


@pytest.mark.parametrize("name", BUILT)
def test_tensorrt_builds_what_it_refused(name, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(BUILT[name], path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])
    with pytest.raises((ParseError, BuildError)):
        build_engine(
            path, options=options, rewrites=[r for r in find_rewrites() if r is not CarryIntegers]
        )
    assert build_engine(path, options=options).plan_path.stat().st_size


def test_a_loop_without_a_condition_builds(tmp_path):
    model = _loop()
    (node,) = model.graph.node
    node.input[1] = ""
    onnx.save(model, tmp_path / "m.onnx")
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])
    assert build_engine(tmp_path / "m.onnx", options=options).plan_path.stat().st_size
