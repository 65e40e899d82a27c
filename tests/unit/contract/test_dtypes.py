import numpy as np
import onnx
import pytest

from pluginkit.contract import dtypes
from pluginkit.errors import TensorError


def test_every_dtype_agrees_with_numpy_and_onnx() -> None:
    assert len(dtypes.ALL) == 8
    for dtype in dtypes.ALL:
        assert dtype.numpy.itemsize == dtype.itemsize
        assert onnx.helper.tensor_dtype_to_np_dtype(dtype.onnx) == dtype.numpy
        assert dtypes.dtype_from_numpy(dtype.numpy) is dtype
        assert dtypes.dtype_from_onnx(dtype.onnx) is dtype
        assert dtypes.dtype_from_trt(dtype.trt) is dtype


def test_floating() -> None:
    floating = [dtype.name for dtype in dtypes.ALL if dtype.is_floating]
    assert floating == ["float32", "float16", "bfloat16"]


def test_the_lists_of_types_are_parts_of_all() -> None:
    assert set(dtypes.ALL) - set(dtypes.OUTPUT_TYPES) == {dtypes.bool_, dtypes.uint8}
    assert [dtype for dtype in dtypes.ALL if dtype.is_floating] == list(dtypes.FLOAT_TYPES)


@pytest.mark.parametrize(("size", "name"), [(2**31 - 1, "uint32"), (2**31, "uint64")])
def test_offsets_take_as_many_bits_as_the_largest_size_needs(size: int, name: str) -> None:
    offset = dtypes.offset_type(5, size, 7)
    assert offset.name == name
    assert offset.cpp in dtypes.OFFSETS
    assert offset.numpy.itemsize == offset.itemsize


def test_a_dtype_makes_kernel_arguments() -> None:
    assert dtypes.int32(5).values == (5,)
    assert dtypes.int64([1, 2, 3]).values == (1, 2, 3)


@pytest.mark.parametrize(
    ("look_up", "key"),
    [
        (dtypes.dtype_from_numpy, np.float64),
        (dtypes.dtype_from_onnx, onnx.TensorProto.STRING),
        (dtypes.dtype_from_trt, "FP8"),
    ],
)
def test_other_types_are_named_in_the_error(look_up, key) -> None:
    with pytest.raises(TensorError, match=r"PK120 .* expected one of float32, float16, bfloat16"):
        look_up(key)
