"""Order and division of uint64, which is carried in the int64 of the same bits."""

import itertools

import numpy as np
import onnx
import onnx.parser
import pytest

from pluginkit.graph_rewrites.carry_integers import CarryIntegers
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
