import pytest

from pluginkit import DeviceTensor, TensorDesc, Workspace, bfloat16, float32
from pluginkit.contract.dims import InputDim
from pluginkit.contract.tensors import Slot
from pluginkit.errors import TensorError


def test_a_description_knows_its_sizes() -> None:
    desc = TensorDesc("x", (2, 3, 4), float32, Slot("input"))
    assert (desc.ndim, desc.size, desc.nbytes, desc.is_static) == (3, 24, 96, True)
    assert str(desc) == "x float32[2, 3, 4]"


@pytest.mark.parametrize(("axis", "expected"), [(0, 0), (2, 2), (-1, 2), (-3, 0)])
def test_axes_count_from_either_end(axis: int, expected: int) -> None:
    assert TensorDesc("x", (2, 3, 4), float32, Slot("input")).axis(axis) == expected


@pytest.mark.parametrize("axis", [3, -4])
def test_axes_out_of_range_are_named(axis: int) -> None:
    with pytest.raises(
        TensorError, match=f"PK126 axis {axis} of 'x' is out of range; expected -3 to 2 for rank 3"
    ):
        TensorDesc("x", (2, 3, 4), float32, Slot("input")).axis(axis)


def test_the_same_memory_is_seen_with_another_shape() -> None:
    desc = TensorDesc("x", (2, 3, 4), float32, Slot("input", 1))
    seen = desc.reshape(6, 4)
    assert (seen.shape, seen.name, seen.slot) == ((6, 4), "x", Slot("input", 1))
    assert desc.reshape(desc.size).shape == (24,)
    n = InputDim(0, 0)
    assert TensorDesc("x", (n, 4), float32, Slot("input")).reshape(2, n * 2).ndim == 2


def test_another_number_of_elements_is_refused() -> None:
    desc = TensorDesc("x", (2, 3), float32, Slot("input"))
    message = r"PK129 x float32\[2, 3\] cannot be seen as \[5\]; expected 6 elements"
    with pytest.raises(TensorError, match=message):
        desc.reshape(5)


def test_a_workspace_is_divided_by_offset() -> None:
    workspace = Workspace(100)
    part = workspace.at(40).at(8)
    assert (part.nbytes, part.slot.offset) == (52, 48)
    for offset in (-1, 101):
        with pytest.raises(TensorError, match="PK127"):
            workspace.at(offset)


def test_a_device_tensor_speaks_the_cuda_array_interface() -> None:
    tensor = DeviceTensor("x", 4096, (2, 3), float32, stream=7)
    interface = tensor.__cuda_array_interface__
    assert interface["data"] == (4096, False)
    assert (interface["shape"], interface["typestr"], interface["stream"]) == ((2, 3), "<f4", 7)
    assert (
        DeviceTensor("x", 4096, (2, 3), float32, stream=0).__cuda_array_interface__["stream"] == 1
    )
    assert tensor.nbytes == 24


def test_bfloat16_says_which_views_can_hold_it() -> None:
    tensor = DeviceTensor("x", 4096, (2, 3), bfloat16, stream=0)
    with pytest.raises(TensorError, match=r"(?s)PK128 .*use .torch\(\), .cupy\(\) or .pointer"):
        tensor.__cuda_array_interface__  # noqa: B018
