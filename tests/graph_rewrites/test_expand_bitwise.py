import operator

import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_bitwise import ExpandBitwise
from pluginkit.graph_rewrites.expand_bitwise_not import ExpandBitwiseNot
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import full_range, node_model

TYPES = [np.uint8, np.int8, np.int32, np.int64]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("op_type", "python"),
    [
        ("BitwiseAnd", operator.and_),
        ("BitwiseOr", operator.or_),
        ("BitwiseXor", operator.xor),
    ],
)
def test_pairs_give_what_python_gives(dtype, op_type, python):
    feeds = {"a": full_range(dtype, 30, 1), "b": full_range(dtype, 2, 1, 30)}
    (got,) = outputs_of(ExpandBitwise, node_model(op_type, feeds), feeds)
    pairs = np.broadcast_arrays(feeds["a"], feeds["b"])
    expected = [python(int(a), int(b)) for a, b in zip(*map(np.ravel, pairs), strict=True)]
    assert got.shape == (2, 30, 30)
    np.testing.assert_array_equal(got.ravel(), expected)


@pytest.mark.parametrize("dtype", TYPES)
def test_not_gives_what_python_gives(dtype):
    x = full_range(dtype, 30)
    (got,) = outputs_of(ExpandBitwiseNot, node_model("BitwiseNot", {"x": x}), {"x": x})
    expected = [255 - int(a) if dtype == np.uint8 else ~int(a) for a in x]
    np.testing.assert_array_equal(got, expected)


def test_types_that_tensorrt_lacks_are_left():
    reason = "is uint16; expected uint8, int8, int32 or int64"
    x = np.array([1, 2], np.uint16)
    model = node_model("BitwiseAnd", {"a": x, "b": x})
    assert reason_against(ExpandBitwise, model) == f"'a' {reason}"
    model = node_model("BitwiseNot", {"x": x})
    assert reason_against(ExpandBitwiseNot, model) == f"'x' {reason}"
