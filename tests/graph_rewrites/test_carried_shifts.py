"""Shifts of uint64, which is carried in the int64 of the same bits."""

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.expand_bit_shift import ExpandBitShift
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime

X = np.array([0, 1, 2**63, 2**64 - 1, 2**63 - 1, 2**40 + 7, 12345678901234567890], np.uint64)
TEXT = """<ir_version: 9, opset_import: ["" : 18]>
    t (int64[7] x) => (int64[7] y) <uint64 n = {{{}}}>
    {{ u = Cast<to = 13>(x) s = BitShift<direction = "{}">(u, n) y = Cast<to = 7>(s) }}"""


@pytest.mark.parametrize("count", [0, 1, 2, 13, 62, 63, 64])
@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_bits_are_shifted_without_a_sign(direction, count):
    """As PyTorch's exporter shifts an int64 to the right."""
    model = onnx.parser.parse_model(TEXT.format(count, direction))
    made = rewrite_model(model, [CarryIntegers, ExpandBitShift]).model
    got = run_onnxruntime(made, {"x": X.view(np.int64)})["y"].view(np.uint64)
    if direction == "LEFT":
        expected = [(int(each) << count) % 2**64 for each in X]
    else:
        expected = [int(each) >> count for each in X]
    assert got.tolist() == expected
    types = {node.attribute[0].i for node in made.graph.node if node.op_type == "Cast"}
    assert onnx.TensorProto.UINT64 not in types


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_counts_may_vary(direction):
    """A count of 64 or more, which is a negative int64 from 2^63 on, leaves no bits."""
    text = TEXT.replace("(int64[7] x)", "(int64[7] x, int64[7] count)").replace(
        "s = BitShift", "m = Cast<to = 13>(count) s = BitShift"
    )
    model = onnx.parser.parse_model(text.format(0, direction).replace("(u, n)", "(u, m)"))
    made = rewrite_model(model, [CarryIntegers, ExpandBitShift]).model
    counts = np.array([0, 1, 3, 63, 64, -1, -(2**63)])
    got = run_onnxruntime(made, {"x": X.view(np.int64), "count": counts})["y"].view(np.uint64)
    assert got[:4].tolist() == [
        (int(each) << int(count)) % 2**64 if direction == "LEFT" else int(each) >> int(count)
        for each, count in zip(X[:4], counts[:4], strict=True)
    ]
    assert not got[4:].any()
    types = {node.attribute[0].i for node in made.graph.node if node.op_type == "Cast"}
    assert onnx.TensorProto.UINT64 not in types
