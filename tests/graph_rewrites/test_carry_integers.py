"""Values of types that TensorRT lacks travel in wider ones, up to the borders of the main graph."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.fold_known import FoldKnown
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.model.graphs import names_read, scopes
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.carried_models import body, elem, model_of, trips
from tests.graph_rewrites.rewriting import run
from tests.graph_rewrites.samples import full_range, i64, node_model

LACKING = {
    TensorProto.UINT8,
    TensorProto.INT16,
    TensorProto.UINT16,
    TensorProto.UINT32,
    TensorProto.UINT64,
}


def lacking_inside(model: onnx.ModelProto) -> list[str]:
    """The values of types that TensorRT lacks that are not inputs or outputs of the main graph."""
    types = infer_types(model)
    borders = {each.name for each in (*model.graph.input, *model.graph.output)}
    found = []
    for scope in scopes(model):
        for node in scope.graph.node:
            for name in {*node.output, *names_read(node)} - borders - {""}:
                value_type = types.find(scope, name)
                if value_type is not None and value_type.tensor_type.elem_type in LACKING:
                    found.append(name)
    return found


def carried(model: onnx.ModelProto, rewrites=None) -> onnx.ModelProto:
    """Rewrite a model; no value inside may keep a type that TensorRT lacks, and twice is once."""
    rewrites = [CarryIntegers] if rewrites is None else rewrites
    result = rewrite_model(model, rewrites)
    assert "CarryIntegers" in {each.rewrite for each in result.applied}
    onnx.checker.check_model(result.model, full_check=True)
    assert lacking_inside(result.model) == []
    again = rewrite_model(result.model, rewrites)
    assert again.applied == []
    assert again.model == result.model
    return result.model


def assert_same(
    model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], expected: Sequence[np.ndarray]
) -> onnx.ModelProto:
    new = carried(model)
    for one, other in zip(run(new, feeds), expected, strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_array_equal(one, other)
    return new


def every_value(dtype, *shape):
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(3)
    found = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    found.ravel()[:2] = limits.min, limits.max
    return found


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul"])
def test_results_wrap_around_as_those_of_the_type_do(op_type, dtype):
    a, b = every_value(dtype, 40, 1), every_value(dtype, 40)
    model = model_of(
        [
            helper.make_node("Transpose", ["a"], ["t"]),
            helper.make_node(op_type, ["t", "b"], ["s"]),
            helper.make_node(op_type, ["s", "b"], ["y"]),
        ],
        {"a": a, "b": b},
        {"y": (dtype, [1, 40])},
    )
    function = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}[op_type]
    with np.errstate(over="ignore"):
        assert_same(model, {"a": a, "b": b}, [function(function(a.T, b), b)])


@pytest.mark.parametrize("target", ["uint8", "int16", "uint16", "uint32", "int8"])
@pytest.mark.parametrize("source", ["int64", "int32", "uint8", "int16", "uint32", "bool"])
def test_casts_between_integers_wrap_around(source, target):
    x = np.array([True, False]) if source == "bool" else every_value(source, 60)
    nodes = [
        helper.make_node("Identity", ["x"], ["i"]),
        helper.make_node("Cast", ["i"], ["a"], to=elem("uint16")),
        helper.make_node("Cast", ["i"], ["b"], to=elem(target)),
        helper.make_node("Cast", ["a"], ["y"], to=elem("float32")),
        helper.make_node("Cast", ["b"], ["z"], to=elem("int64")),
    ]
    outputs = {"y": ("float32", x.shape), "z": ("int64", x.shape)}
    expected = [x.astype("uint16").astype("float32"), x.astype(target).astype("int64")]
    assert_same(model_of(nodes, {"x": x}, outputs), {"x": x}, expected)


@pytest.mark.parametrize("between", ["int16", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize("target", ["float32", "int32", "int8"])
@pytest.mark.parametrize("source", ["uint8", "bool"])
def test_a_cast_that_loses_nothing_is_not_wrapped(source, between, target):
    x = np.array([0, 1, 5, 127]).astype(source)
    nodes = [
        helper.make_node("Cast", ["x"], ["a"], to=elem(between)),
        helper.make_node("Cast", ["a"], ["y"], to=elem(target)),
    ]
    model = model_of(nodes, {"x": x}, {"y": (target, [4])})
    new = assert_same(model, {"x": x}, [x.astype(between).astype(target)])
    assert {node.op_type for node in new.graph.node} <= {"Cast", "Mod", "Add", "Sub"}
    if target != "int8":
        assert {node.op_type for node in new.graph.node} == {"Cast"}


def test_quantized_values_are_not_wrapped_because_they_are_clipped():
    x = np.linspace(-9, 9, 12, dtype=np.float32)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("Reshape", ["q", "shape"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "s", "z"], ["y"]),
    ]
    stored = {"s": np.float32(0.05), "z": np.uint8(100), "shape": i64(3, 4)}
    model = model_of(nodes, {"x": x}, {"y": ("float32", [3, 4])}, stored)
    new = carried(model, find_rewrites())
    assert "Mod" not in {node.op_type for node in new.graph.node}
    np.testing.assert_array_equal(run(new, {"x": x})[0], run(model, {"x": x})[0])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32"])
@pytest.mark.parametrize("taken", [True, False])
def test_branches_give_carriers(taken, dtype):
    """One branch computes, the other passes a captured value through; both capture ``t``."""
    x = every_value(dtype, 2, 3)
    then = body(
        [helper.make_node("Add", ["t", "one"], ["a"])],
        [],
        [("a", dtype, [3, 2])],
        {"one": np.ones((), dtype)},
    )
    other = body([helper.make_node("Identity", ["t"], ["b"])], [], [("b", dtype, [3, 2])])
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"]),
        helper.make_node("If", ["c"], ["i"], then_branch=then, else_branch=other),
        helper.make_node("Concat", ["i", "t"], ["y"], axis=0),
    ]
    feeds = {"x": x, "c": np.array(taken)}
    model = model_of(nodes, feeds, {"y": (dtype, [6, 2]), "t": (dtype, [3, 2])})
    with np.errstate(over="ignore"):
        first = x.T + np.ones((), dtype) if taken else x.T
    assert_same(model, feeds, [np.concatenate([first, x.T]), x.T])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_the_state_and_the_scans_of_a_loop_are_carried(dtype):
    x = every_value(dtype, 5)
    inner = body(
        [
            helper.make_node("Add", ["s", "x"], ["n"]),
            helper.make_node("Max", ["n", "s"], ["m"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        [("k", "int64", []), ("go", "bool", []), ("s", dtype, [5])],
        [("on", "bool", []), ("n", dtype, [5]), ("m", dtype, [5])],
    )
    nodes = [helper.make_node("Loop", ["count", "always", "x"], ["last", "all"], body=inner)]
    model = model_of(
        nodes,
        {"x": x},
        {"last": (dtype, [5]), "all": (dtype, [3, 5])},
        trips(3),
    )
    state, scanned = x, []
    with np.errstate(over="ignore"):
        for _ in range(3):
            new = state + x
            scanned.append(np.maximum(new, state))
            state = new
    assert_same(model, {"x": x}, [state, np.stack(scanned)])


def test_a_scan_is_carried():
    x = every_value("uint8", 4, 3)
    inner = body(
        [helper.make_node("Add", ["s", "row"], ["n"]), helper.make_node("Identity", ["n"], ["o"])],
        [("s", "uint8", [3]), ("row", "uint8", [3])],
        [("n", "uint8", [3]), ("o", "uint8", [3])],
    )
    nodes = [
        helper.make_node("Scan", ["zero", "x"], ["last", "all"], body=inner, num_scan_inputs=1)
    ]
    outputs = {"last": ("uint8", [3]), "all": ("uint8", [4, 3])}
    model = model_of(nodes, {"x": x}, outputs, {"zero": np.zeros(3, np.uint8)})
    sums = np.cumsum(x, 0, dtype=np.uint8)
    assert_same(model, {"x": x}, [sums[-1], sums])


def test_branches_in_a_loop_capture_the_state():
    x = every_value("uint8", 3)
    then = body([helper.make_node("Mul", ["s", "s"], ["a"])], [], [("a", "uint8", [3])])
    other = body([helper.make_node("Sub", ["s", "x"], ["b"])], [], [("b", "uint8", [3])])
    inner = body(
        [
            helper.make_node("Mod", ["k", "two"], ["r"]),
            helper.make_node("Cast", ["r"], ["odd"], to=TensorProto.BOOL),
            helper.make_node("If", ["odd"], ["n"], then_branch=then, else_branch=other),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        [("k", "int64", []), ("go", "bool", []), ("s", "uint8", [3])],
        [("on", "bool", []), ("n", "uint8", [3])],
        {"two": np.int64(2)},
    )
    nodes = [helper.make_node("Loop", ["count", "always", "x"], ["y"], body=inner)]
    model = model_of(nodes, {"x": x}, {"y": ("uint8", [3])}, trips(4))
    state = x
    for step in range(4):
        state = state * state if step % 2 else state - x
    assert_same(model, {"x": x}, [state])


@pytest.mark.parametrize("zero", [np.uint8(0), np.uint8(130), np.int8(5)])
def test_quantized_values_enter_and_leave_branches(zero):
    then = body([helper.make_node("Transpose", ["q"], ["t"])], [], [("t", zero.dtype, [3, 2])])
    other = body(
        [helper.make_node("Cast", ["q"], ["f"], to=TensorProto.FLOAT),
         helper.make_node("Transpose", ["f"], ["g"]),
         helper.make_node("Cast", ["g"], ["e"], to=elem(zero.dtype))],
        [], [("e", zero.dtype, [3, 2])],
    )  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("If", ["c"], ["r"], then_branch=then, else_branch=other),
        helper.make_node("DequantizeLinear", ["r", "s", "z"], ["y"]),
    ]
    x = np.linspace(-9, 9, 6, dtype=np.float32).reshape(2, 3)
    for taken in (True, False):
        feeds = {"x": x, "c": np.array(taken)}
        stored = {"s": np.float32(0.05), "z": zero}
        model = model_of(nodes, feeds, {"y": ("float32", [3, 2])}, stored)
        result = rewrite_model(model, find_rewrites()).model
        assert lacking_inside(result) == []
        np.testing.assert_array_equal(run(result, feeds)[0], run(model, feeds)[0])
        assert rewrite_model(result, find_rewrites()).applied == []


def test_a_node_of_another_domain_gets_the_value_itself():
    x = every_value("uint8", 4)
    nodes = [
        helper.make_node("Add", ["x", "x"], ["a"]),
        helper.make_node("Mystery", ["a"], ["m"], domain="elsewhere"),
        helper.make_node("Sub", ["a", "x"], ["y"]),
    ]
    model = model_of(nodes, {"x": x}, {"y": ("uint8", [4]), "m": ("uint8", [4])})
    result = rewrite_model(model, [CarryIntegers]).model
    (mystery,) = [node for node in result.graph.node if node.op_type == "Mystery"]
    assert mystery.input[0] == "a"
    (before,) = [node for node in result.graph.node if "a" in node.output]
    assert (before.op_type, before.attribute[0].i) == ("Cast", TensorProto.UINT8)
    assert rewrite_model(result, [CarryIntegers]).applied == []


def test_a_branch_that_hides_a_carried_name_means_its_own():
    x, z = every_value("uint8", 3), np.linspace(0, 1, 3, dtype=np.float32)
    inner = body(
        [helper.make_node("Neg", ["a"], ["n"]), helper.make_node("Identity", ["go"], ["on"])],
        [("k", "int64", []), ("go", "bool", []), ("a", "float32", [3])],
        [("on", "bool", []), ("n", "float32", [3])],
    )
    nodes = [
        helper.make_node("Add", ["x", "x"], ["a"]),
        helper.make_node("Loop", ["count", "always", "z"], ["w"], body=inner),
        helper.make_node("Sub", ["a", "x"], ["y"]),
    ]
    outputs = {"y": ("uint8", [3]), "w": ("float32", [3])}
    model = model_of(nodes, {"x": x, "z": z}, outputs, trips(1))
    assert_same(model, {"x": x, "z": z}, [x, -z])


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_constants_of_every_kind_are_carried(dtype):
    x = every_value(dtype, 2, 3)
    tensor = numpy_helper.from_array(np.array([1, 2, 3], dtype))
    fill = numpy_helper.from_array(np.array([4], dtype))
    nodes = [
        helper.make_node("Constant", [], ["c"], value=tensor),
        helper.make_node("ConstantOfShape", ["shape"], ["f"], value=fill),
        helper.make_node("Max", ["x", "c", "stored"], ["m"]),
        helper.make_node("Min", ["m", "f"], ["y"]),
    ]
    stored = {"shape": i64(2, 3), "stored": np.array([[2], [0]], dtype)}
    model = model_of(nodes, {"x": x}, {"y": (dtype, [2, 3])}, stored)
    expected = np.minimum(np.maximum(np.maximum(x, [1, 2, 3]), [[2], [0]]), 4).astype(dtype)
    new = assert_same(model, {"x": x}, [expected])
    assert elem(dtype) not in {each.data_type for each in new.graph.initializer}


def test_int8_is_carried_where_tensorrt_refuses_a_stored_tensor():
    x = every_value("int8", 50)
    nodes = [
        helper.make_node("Add", ["x", "one"], ["a"]),
        helper.make_node("Mod", ["a", "seven"], ["b"]),
        helper.make_node("Transpose", ["b"], ["t"]),
        helper.make_node("Cast", ["t"], ["y"], to=TensorProto.FLOAT),
    ]
    model = model_of(
        nodes, {"x": x}, {"y": ("float32", [50])}, {"one": np.int8(1), "seven": np.int8(7)}
    )
    assert_same(model, {"x": x}, [((x + np.int8(1)) % np.int8(7)).astype(np.float32)])


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.bool_])
def test_what_tensorrt_has_is_left(dtype):
    model = node_model("Transpose", {"a": np.ones((2, 3), dtype)})
    result = rewrite_model(model, [CarryIntegers])
    assert (result.model, result.applied) == (model, [])


@pytest.mark.parametrize(("op_type", "expected"), [("ReduceMax", 0), ("ReduceMin", 255)])
def test_nothing_to_reduce_gives_the_types_own_limit(op_type, expected):
    x = np.zeros((0, 3), np.uint8)
    model = node_model(op_type, {"x": x, "axes": i64(0)}, stored=["axes"], keepdims=0)
    (got,) = ReferenceEvaluator(carried(model)).run(None, {"x": x})
    np.testing.assert_array_equal(got, [expected] * 3)
    assert got.dtype == np.uint8


@pytest.mark.parametrize("reduction", ["add", "mul"])
def test_reductions_wrap_around(reduction):
    x = np.full((3, 2), 200, np.uint8)
    feeds = {"x": x, "i": i64(0, 0)[None], "u": full_range(np.uint8, 2, 2)[:1]}
    model = node_model("ScatterElements", feeds, opset=18, reduction=reduction)
    expected = x.copy()
    with np.errstate(over="ignore"):
        for column in range(2):
            one = feeds["u"][0, column]
            old = expected[0, column]
            expected[0, column] = old + one if reduction == "add" else old * one
    (got,) = ReferenceEvaluator(carried(model)).run(None, feeds)
    np.testing.assert_array_equal(got, expected)


def test_uint64_that_may_exceed_int64_is_moved_and_compared_with_zero():
    x = np.array([[0, 2**63, 1], [2**64 - 1, 0, 2**63 + 1]], np.uint64)
    moved = node_model("ReverseSequence", {"x": x, "n": i64(2, 1, 2)}, stored=["n"])
    (got,) = ReferenceEvaluator(carried(moved)).run(None, {"x": x})
    np.testing.assert_array_equal(got, [[2**64 - 1, 2**63, 2**63 + 1], [0, 0, 1]])
    assert got.dtype == np.uint64
    (places,) = ReferenceEvaluator(carried(node_model("NonZero", {"x": x}))).run(None, {"x": x})
    np.testing.assert_array_equal(places, [[0, 0, 1, 1], [1, 2, 0, 2]])


def test_every_output_of_the_type_comes_back():
    x = full_range(np.uint8, 2, 6)
    model = node_model("Split", {"x": x}, outputs=("a", "b"), axis=1, num_outputs=2, opset=18)
    first, second = ReferenceEvaluator(carried(model)).run(None, {"x": x})
    np.testing.assert_array_equal(np.concatenate([first, second], 1), x)
    assert first.dtype == second.dtype == np.uint8


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("how", ["y = Constant<value = {0}[2] {{1, 3}}>()", "y = Add(two, one)"])
def test_an_output_that_is_known_is_not_stored_in_8_bits(how, dtype):
    """TensorRT has no such constants but before DequantizeLinear."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 18]> g (float[2] x) => ({dtype}[2] y, float[2] z)
        <{dtype}[2] two = {{0, 2}}, {dtype} one = {{1}}> {{ z = Neg(x) {how.format(dtype)} }}"""
    )
    rewrites = [FoldKnown, CarryIntegers]
    new = rewrite_model(model, rewrites).model
    last = next(node for node in new.graph.node if "y" in node.output)
    assert last.op_type in ("Cast", "Add")
    (expected, _), (got, _) = (run(each, {"x": np.zeros(2, np.float32)}) for each in (model, new))
    np.testing.assert_array_equal(got, expected)
    assert rewrite_model(new, rewrites).applied == []


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_what_a_loop_collects_is_not_stored_in_8_bits_either(dtype):
    model = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 18]> g (int64 n, float[2] x)
        => (float[2] z, {dtype}[n, 1, 2] y) <bool go = {{1}}, {dtype}[2] two = {{0, 2}}>
        {{ z, y = Loop (n, go, x) <body = b (int64 i, bool c, float[2] s)
           => (bool d, float[2] t, {dtype}[1, 2] u)
           {{ d = Identity(c) t = Neg(s) u = Flatten<axis = 0>(two) }}> }}"""
    )
    rewrites = [FoldKnown, CarryIntegers]
    new = rewrite_model(model, rewrites).model
    onnx.checker.check_model(new, full_check=True)
    feeds = {"n": np.array(2), "x": np.zeros(2, np.float32)}
    (_, expected), (_, got) = (run(each, feeds) for each in (model, new))
    np.testing.assert_array_equal(got, expected)
    assert rewrite_model(new, rewrites).applied == []


def test_an_original_that_an_inner_scope_needs_is_made_where_the_value_is():
    """A Mystery two branches further in reads a carried sum; a branch before it reads it too."""
    x = every_value("uint8", 3)

    def branch(nodes, output):
        return body(nodes, [], [(output, "uint8", [3])])

    deep = branch([helper.make_node("Mystery", ["a"], ["m"], domain="elsewhere")], "m")
    plain = branch([helper.make_node("Sub", ["a", "x"], ["n"])], "n")
    inner = helper.make_node("If", ["c"], ["o"], then_branch=deep, else_branch=plain)
    other = branch([helper.make_node("Mystery", ["a"], ["k"], domain="elsewhere")], "k")
    nodes = [
        helper.make_node("Add", ["x", "x"], ["a"]),
        helper.make_node("If", ["c"], ["first"], then_branch=other, else_branch=plain),
        helper.make_node("If", ["c"], ["i"], then_branch=branch([inner], "o"),
                         else_branch=plain),
        helper.make_node("Add", ["i", "first"], ["y"]),
    ]  # fmt: skip
    model = model_of(nodes, {"x": x, "c": np.array(False)}, {"y": ("uint8", [3])})
    result = rewrite_model(model, [CarryIntegers]).model
    onnx.checker.check_model(result)
    casts = [node for node in result.graph.node if list(node.output) == ["a"]]
    assert [node.op_type for node in casts] == ["Cast"]
    assert rewrite_model(result, [CarryIntegers]).applied == []


def test_a_graph_input_that_a_branch_reads_is_cast_outside_of_it():
    """TensorRT refuses uint8 inside a branch, a graph input's too."""
    x = every_value("uint8", 4)
    then = body(
        [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)], [], [("f", "float32", [4])]
    )
    other = body(
        [
            helper.make_node("Cast", ["x"], ["g"], to=TensorProto.FLOAT),
            helper.make_node("Neg", ["g"], ["h"]),
        ],
        [],
        [("h", "float32", [4])],
    )
    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)]
    feeds = {"x": x, "c": np.array(True)}
    new = assert_same(
        model_of(nodes, feeds, {"y": ("float32", [4])}), feeds, [x.astype(np.float32)]
    )
    assert [node.op_type for node in new.graph.node] == ["Cast", "If"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_what_nobody_reads_is_carried_or_dropped(dtype):
    """TensorRT refuses it all the same."""
    nodes = [
        helper.make_node("Cast", ["x"], ["unread"], to=elem(dtype)),
        helper.make_node("Neg", ["x"], ["y"]),
    ]
    x = np.arange(3, dtype=np.float32)
    model = model_of(nodes, {"x": x}, {"y": ("float32", [3])}, {"stored": np.ones(2, dtype)})
    new = assert_same(model, {"x": x}, [-x])
    assert "stored" not in {each.name for each in new.graph.initializer}


def test_relu_becomes_max_because_tensorrt_has_it_for_floats_only():
    x = every_value("int16", 5)
    nodes = [
        helper.make_node("Cast", ["f"], ["a"], to=TensorProto.INT16),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT),
    ]
    feeds = {"f": x.astype(np.float32)}
    new = assert_same(
        model_of(nodes, feeds, {"y": ("float32", [5])}), feeds, [np.maximum(x, 0).astype("float32")]
    )
    assert "Relu" not in {node.op_type for node in new.graph.node}


def test_a_stored_int8_enters_a_loop_as_a_computed_value():
    """TensorRT has int8 constants before DequantizeLinear and plugins only."""
    x = every_value("int8", 3)
    inner = body(
        [helper.make_node("Max", ["s", "x"], ["n"]), helper.make_node("Identity", ["go"], ["on"])],
        [("k", "int64", []), ("go", "bool", []), ("s", "int8", [3])],
        [("on", "bool", []), ("n", "int8", [3])],
    )
    nodes = [helper.make_node("Loop", ["count", "always", "zero"], ["y"], body=inner)]
    stored = trips(2) | {"zero": np.zeros(3, np.int8)}
    model = model_of(nodes, {"x": x}, {"y": ("int8", [3])}, stored)
    new = assert_same(model, {"x": x}, [np.maximum(x, 0)])
    assert TensorProto.INT8 not in {each.data_type for each in new.graph.initializer}


def test_branches_of_unknown_shapes_have_types_inside():
    """A Compress gives a branch an output of unknown length; what the branches hold is carried."""
    x = every_value("uint8", 4)
    keep = numpy_helper.from_array(np.array([True, False, True, True]))
    then = body(
        [
            helper.make_node("Constant", [], ["k"], value=keep),
            helper.make_node("Add", ["t", "t"], ["a"]),
            helper.make_node("Compress", ["a", "k"], ["b"], axis=0),
        ],
        [],
        [("b", "uint8", [None])],
    )
    other = body([helper.make_node("Sub", ["t", "x"], ["d"])], [], [("d", "uint8", [4])])
    nodes = [
        helper.make_node("Add", ["x", "x"], ["t"]),
        helper.make_node("If", ["c"], ["i"], then_branch=then, else_branch=other),
        helper.make_node("Cast", ["i"], ["y"], to=TensorProto.INT32),
    ]
    feeds = {"x": x, "c": np.array(False)}
    model = model_of(nodes, feeds, {"y": ("int32", [None])})
    assert_same(model, feeds, [x.astype("int32")])


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_a_matrix_like_a_carried_one_has_its_type(dtype):
    x = np.zeros((2, 3), dtype)
    model = model_of(
        [
            helper.make_node("Add", ["x", "x"], ["sum"]),
            helper.make_node("EyeLike", ["sum"], ["eye"], k=1),
            helper.make_node("Cast", ["eye"], ["y"], to=TensorProto.FLOAT),
        ],
        {"x": x},
        {"y": (np.float32, (2, 3))},
    )
    result = rewrite_model(model, [CarryIntegers])
    assert lacking_inside(result.model) == []
    (got,) = run(result.model, {"x": x})
    np.testing.assert_array_equal(got, np.eye(2, 3, 1))


@pytest.mark.parametrize("dtype", ["int16", "uint8", "uint16", "uint32"])
@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_small_integers_are_shrunk_before_onnx_has_remainders(dtype, bias):
    limits = np.iinfo(dtype)
    x = np.array([limits.min, 0, 1, 2, limits.max], dtype)
    model = node_model("Shrink", {"x": x}, opset=9, lambd=1.5, bias=bias)
    assert_same(model, {"x": x}, [run_onnxruntime(model, {"x": x})["y"]])


def test_sums_wrap_before_onnx_has_remainders():
    x = np.array([-30000, 30000, 7], np.int16)
    model = node_model("Add", {"a": x, "b": x}, opset=9, outputs=("y",))
    with np.errstate(over="ignore"):
        made = carried(model)
        np.testing.assert_array_equal(run_onnxruntime(made, {"a": x, "b": x})["y"], x + x)
