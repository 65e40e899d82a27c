import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_bit_shift import ExpandBitShift
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import full_range, node_model


def shifted_by_python(x, count, direction):
    """Python's integers have no width; the type's is cut out at the end."""
    info = np.iinfo(x.dtype)
    unlimited = [
        [int(a) << int(n) if direction == "LEFT" else int(a) >> int(n) for n in count] for a in x
    ]
    span = int(info.max) - int(info.min) + 1
    return np.array(
        [[(a - int(info.min)) % span + int(info.min) for a in row] for row in unlimited], x.dtype
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64])
@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_every_count_gives_what_python_gives(dtype, direction):
    x = full_range(dtype, 50)
    count = np.arange(np.iinfo(dtype).bits + 3).astype(dtype)
    model = node_model("BitShift", {"x": x[:, None], "n": count}, opset=28, direction=direction)
    (got,) = outputs_of(ExpandBitShift, model, {"x": x[:, None], "n": count})
    np.testing.assert_array_equal(got, shifted_by_python(x, count, direction))


@pytest.mark.parametrize(("direction", "expected"), [("LEFT", [0, 0, 0]), ("RIGHT", [-1, 0, -1])])
def test_a_negative_count_leaves_the_sign_alone(direction, expected):
    feeds = {"x": np.array([-8, 4, -1], np.int8), "n": np.array([-1, -8, -128], np.int8)}
    model = node_model("BitShift", feeds, opset=28, direction=direction)
    (got,) = outputs_of(ExpandBitShift, model, feeds)
    np.testing.assert_array_equal(got, expected)


def test_types_that_tensorrt_lacks_are_left():
    x = np.array([1, 2], np.uint32)
    model = node_model("BitShift", {"x": x, "n": x}, opset=11, direction="LEFT")
    assert reason_against(ExpandBitShift, model) == (
        "'x' is uint32; expected uint8, int8, int32 or int64"
    )
