"""Guards tell what was written outside a buffer, whatever was written there."""

import ml_dtypes
import numpy as np
import pytest

from pluginkit.checking.guarded_buffers import GUARD, GuardedDevice
from pluginkit.device.memory import HostMemory

FLOATS = (np.float32, np.float16, ml_dtypes.bfloat16, np.float64)


def buffers(*sizes):
    device = GuardedDevice(HostMemory())
    made = [device.buffer(f"b{index}", nbytes) for index, nbytes in enumerate(sizes)]
    for one in made:
        one.fill(0)
    return made


def past(buffer, dtype):
    return buffer.buffer[GUARD + buffer.nbytes :].view(dtype)


def test_a_buffer_that_is_left_alone_has_no_damage():
    one, other = buffers(8, 0)
    one.write(b"12345678")
    assert one.read() == b"12345678"
    assert (one.damage(), other.damage()) == (None, None)


@pytest.mark.parametrize(
    ("index", "where"),
    [
        (GUARD - 1, "byte 1 before the start of b0"),
        (GUARD - 4, "byte 4 before the start of b0"),
        (GUARD + 8, "byte 1 past the end of b0"),
        (GUARD + 8 + 6, "byte 7 past the end of b0"),
    ],
)
def test_damage_says_where(index, where):
    (one,) = buffers(8)
    one.buffer[index] ^= 1
    assert one.damage() == f"wrote {where}"


def test_no_guard_is_that_of_another_buffer_or_of_an_earlier_run():
    one, other = buffers(8, 8)
    seen = []
    for _ in range(4):
        for buffer in (one, other):
            buffer.fill(0)
            data = buffer.buffer.tobytes()
            seen += [data[:GUARD], data[GUARD + 8 :]]
    elements = [np.frombuffer(guard, np.uint32) for guard in seen]
    for index, guard in enumerate(elements):
        for earlier in elements[:index]:
            assert (guard == earlier).mean() < 0.02
    again = buffers(8, 8)[0]
    assert again.buffer[:GUARD].tobytes() == buffers(8, 8)[0].buffer[:GUARD].tobytes()


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("value", [1e-3, -1e-6, 1.0, 1e4])
def test_a_sum_past_the_end_shows_at_once(dtype, value):
    (one,) = buffers(16)
    past(one, dtype)[0] += np.asarray(value, dtype)
    assert one.damage() is not None


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int8, *FLOATS])
@pytest.mark.parametrize(
    ("operation", "value"),
    [(np.minimum, v) for v in (-3, 0, 3)]
    + [(np.maximum, v) for v in (-3, 0, 3)]
    + [(np.add, v) for v in (-3, 1)]
    + [(np.multiply, v) for v in (-1, 0, 2)],
)
def test_no_atomic_keeps_the_guards_of_two_runs(dtype, operation, value):
    (one,) = buffers(16)
    damage = []
    for _ in range(2):
        one.fill(0)
        region = past(one, dtype)[:16]
        with np.errstate(all="ignore"):
            region[...] = operation(region, np.asarray(value, dtype))
        damage.append(one.damage())
    assert any(damage)
