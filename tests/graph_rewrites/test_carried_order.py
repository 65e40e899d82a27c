"""Order and division of uint64, which is carried in the int64 of the same bits."""

import itertools

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx.reference import ReferenceEvaluator

from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.expand_integer_einsum import ExpandIntegerMatMul
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime

NUMBERS = [0, 1, 2, 7, 2**40 + 7, 2**62, 2**63 - 1, 2**63, 2**63 + 5, 2**64 - 2, 2**64 - 1]
PAIRS = np.array(list(itertools.product(NUMBERS, repeat=2)), np.uint64)
A, B = PAIRS[:, 0].copy(), PAIRS[:, 1].copy()
POSITIVE = np.maximum(B, np.uint64(1))


def carried(nodes, inputs, dtype):
    """Run nodes on uint64 whose bits come as int64."""
    names, size = list(inputs), len(next(iter(inputs.values())))
    given = ", ".join(f"int64[{size}] {name}" for name in names)
    casts = " ".join(f"u{name} = Cast<to = 13>({name})" for name in names)
    model = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 18]> t ({given}) => ({dtype}[n] y) {{
        {casts} {nodes} }}"""
    )
    made = rewrite_model(model, [CarryIntegers]).model
    types = {each.i for node in made.graph.node for each in node.attribute if each.name == "to"}
    assert onnx.TensorProto.UINT64 not in types
    return run_onnxruntime(made, {name: each.view(np.int64) for name, each in inputs.items()})["y"]


@pytest.mark.parametrize(
    ("op_type", "compare"),
    [
        ("Less", np.less),
        ("Greater", np.greater),
        ("LessOrEqual", np.less_equal),
        ("GreaterOrEqual", np.greater_equal),
    ],
)
def test_numbers_are_compared(op_type, compare):
    got = carried(f"y = {op_type}(ua, ub)", {"a": A, "b": B}, "bool")
    np.testing.assert_array_equal(got, compare(A, B))


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("w = Max(ua, ub)", np.maximum(A, B)),
        ("w = Min(ua, ub)", np.minimum(A, B)),
        ("m = Max(ub, one) w = Mod(ua, m)", A % POSITIVE),
        ("m = Max(ub, one) w = Div(ua, m)", A // POSITIVE),
        ("w = Abs(ua)", A),
        ("w = Sign(ua)", np.sign(A)),
    ],
    ids=["max", "min", "mod", "div", "abs", "sign"],
)
def test_numbers_are_chosen_and_divided(nodes, expected):
    one = "c = Constant<value_ints = [1]>() one = Cast<to = 13>(c)"
    got = carried(f"{one} {nodes} y = Cast<to = 7>(w)", {"a": A, "b": B}, "int64")
    np.testing.assert_array_equal(got.view(np.uint64), expected)


def test_the_greatest_number_and_its_place_are_found():
    x = np.array([3, 2**63 + 1, 2**63 - 1, 2**64 - 1, 0], np.uint64)
    nodes = "k = Constant<value_ints = [3]>() v, y = TopK(ua, k)"
    np.testing.assert_array_equal(carried(nodes, {"a": x}, "int64"), [3, 1, 2])
    least = carried("m = ReduceMin<keepdims = 1>(ua) y = Cast<to = 7>(m)", {"a": x}, "int64")
    np.testing.assert_array_equal(least, [0])


def test_numbers_become_floats():
    got = carried("y = Cast<to = 1>(ua)", {"a": A}, "float")
    np.testing.assert_allclose(got, A.astype(np.float32), rtol=2e-7)
    flags = carried("y = Cast<to = 9>(ua)", {"a": A}, "bool")
    np.testing.assert_array_equal(flags, A != 0)


@pytest.mark.parametrize("source", [1, 10, 11], ids=["float32", "float16", "float64"])
def test_floats_become_numbers(source):
    x = np.array([0.0, 0.5, 1.99, 7.0, 60000.0, 2.0**62, 2.0**63, 2.0**63 + 2.0**41], np.float32)
    x = x[:5] if source == 10 else x
    model = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 18]> t (float[{x.size}] x) => (int64[n] y) {{
        f = Cast<to = {source}>(x) u = Cast<to = 13>(f) y = Cast<to = 7>(u) }}"""
    )
    made = rewrite_model(model, [CarryIntegers]).model
    types = {each.i for node in made.graph.node for each in node.attribute if each.name == "to"}
    assert onnx.TensorProto.UINT64 not in types
    got = run_onnxruntime(made, {"x": x})["y"].view(np.uint64)
    np.testing.assert_array_equal(got, x.astype(np.uint64))


@pytest.mark.parametrize("dtype", [12, 13], ids=["uint32", "uint64"])
def test_products_of_matrices_wrap_around(dtype):
    rng = np.random.default_rng(5)
    a, b = (rng.integers(-(2**63), 2**63 - 1, shape) for shape in ((3, 4), (4, 2)))
    model = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 18]> t (int64[3, 4] a, int64[4, 2] b)
        => (int64[3, 2] y) {{ ua = Cast<to = {dtype}>(a) ub = Cast<to = {dtype}>(b)
        m = MatMul(ua, ub) y = Cast<to = 7>(m) }}"""
    )
    made = rewrite_model(model, [CarryIntegers, ExpandIntegerMatMul]).model
    assert {node.op_type for node in made.graph.node}.isdisjoint({"MatMul"})
    unsigned = np.uint32 if dtype == 12 else np.uint64
    expected = a.astype(unsigned) @ b.astype(unsigned)
    # ONNX Runtime adds int64 beyond 2^53 up in doubles.
    (got,) = ReferenceEvaluator(made).run(None, {"a": a, "b": b})
    np.testing.assert_array_equal(got.astype(unsigned), expected)
    assert unsigned is np.uint64 or got.min() >= 0
