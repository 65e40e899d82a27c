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
