import numpy as np

from pluginkit import DType, float16, int8, int32, int64, uint8
from pluginkit.checking.cast_inputs import cast


def test_values_move_into_range() -> None:
    array = np.array([3e9, -3e9, np.nan, np.inf, -7.5, 1], np.float32)
    wanted: dict[DType, list[int]] = {
        int32: [2**31 - 1, -(2**31), 0, 2**31 - 1, -7, 1],
        int8: [127, -128, 0, 127, -7, 1],
        uint8: [255, 255, 0, 255, 7, 1],
    }
    for dtype, expected in wanted.items():
        assert cast(array, dtype).tolist() == expected, dtype


def test_numbers_of_16_bits_become_int64() -> None:
    assert cast(np.array([6e4, -2, np.inf], np.float16), int64).tolist()[:2] == [60000, -2]


def test_what_is_too_large_becomes_infinite() -> None:
    assert cast(np.array([1e6, -1e6, 2], np.float32), float16).tolist() == [np.inf, -np.inf, 2]
