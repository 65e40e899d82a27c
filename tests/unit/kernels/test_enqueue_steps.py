from __future__ import annotations

from dataclasses import replace

import pytest

from pluginkit import Copy, CudaKernel, Fill, Input, Launch, Output, Plugin, float32
from pluginkit.contract import calls
from pluginkit.contract.tensors import Slot, TensorDesc
from pluginkit.errors import KernelError
from pluginkit.kernels.enqueue_steps import enqueue_steps, three

KERNEL = CudaKernel("__global__ void\nf() {}", "f")


def steps_of(make, shape=(4, 3), workspace=0):
    """The enqueue steps of a plugin whose launches are what ``make(x, y, workspace)`` returns."""

    class Probe(Plugin):
        """Runs whatever it is given."""

        x = Input(float32)
        y = Output(float32)
        kernel = KERNEL

        def output_shapes(self, x):
            return x.shape

        def workspace_bytes(self, x):
            return workspace

        def launches(self, x, y, workspace):
            return make(x, y, workspace)

        def reference(self, x):
            return x

    inputs = calls.describe_inputs(Probe(), [shape], [float32])
    return enqueue_steps(Probe(), inputs, calls.describe_outputs(Probe(), inputs))


def launch(grid=1, block=1, args=(), shared_bytes=0):
    return Launch(KERNEL, grid, block, args, shared_bytes)


def test_steps_keep_their_order_and_their_parameters():
    work = steps_of(lambda x, y, w: [Fill(y), Copy(y, x), launch(args=(x, y, 1))])
    assert [type(step) for step in work.steps] == [Fill, Copy, Launch]
    assert work.parameters == ([Slot("input"), Slot("output"), (1).to_bytes(8, "little")],)
    assert work.pointers == (1, 1)


def test_what_has_no_work_is_left_out():
    work = steps_of(
        lambda x, y, w: [Copy(y, x), Fill(y), Fill(w), launch(0), launch((5, 0, 2)), launch(2)],
        shape=(0, 3),
    )
    assert [step.grid for step in work.steps] == [2]


@pytest.mark.parametrize(
    ("grid", "block", "shared_bytes"),
    [
        (2**31, 1, 0),
        ((1, 65536), 1, 0),
        ((1, 1, 65536), 1, 0),
        ((1, 1, 1, 1), 1, 0),
        ((), 1, 0),
        (-1, 1, 0),
        (1.0, 1, 0),
        (1, 0, 0),
        (1, 1025, 0),
        (1, (64, 32), 0),
        (1, (1, 1, 65), 0),
        (1, 1, -1),
        (1, 1, 1.5),
        (1, 1, 227 * 1024 + 1),
    ],
)
def test_impossible_launch(grid, block, shared_bytes):
    with pytest.raises(KernelError, match="PK304 Probe: launch of 'f' has "):
        steps_of(lambda x, y, w: launch(grid, block, shared_bytes=shared_bytes))


def test_largest_launch_passes():
    work = steps_of(lambda x, y, w: launch((2**31 - 1, 65535, 65535), (16, 1, 64), (), 227 * 1024))
    assert len(work.launches) == 1


def test_dimensions_are_filled_up():
    assert [three(5), three((5, 4)), three((5, 4, 3))] == [(5, 1, 1), (5, 4, 1), (5, 4, 3)]


def test_copy_between_different_sizes():
    with pytest.raises(KernelError, match="PK305 Probe: Copy of x .* 24 bytes, to 48 bytes"):
        steps_of(lambda x, y, w: Copy(y, replace(x, shape=(2, 3))))


def test_copy_to_the_workspace_needs_room():
    assert steps_of(lambda x, y, w: Copy(w, x), workspace=50).steps
    with pytest.raises(KernelError, match="PK305"):
        steps_of(lambda x, y, w: Copy(w, x), workspace=47)


@pytest.mark.parametrize("byte", [-1, 256])
def test_fill_with_no_byte(byte):
    with pytest.raises(KernelError, match=f"PK305 Probe: Fill with {byte}"):
        steps_of(lambda x, y, w: Fill(y, byte))


def test_description_larger_than_its_buffer():
    with pytest.raises(KernelError, match="PK303 Probe: argument x .*52 bytes; its buffer has 48"):
        steps_of(lambda x, y, w: launch(args=(replace(x, shape=(13,)),)))
    with pytest.raises(KernelError, match="PK303 .* 48 bytes; its buffer has 44"):
        steps_of(lambda x, y, w: launch(args=(replace(x, slot=Slot("input", 0, 4)),)))


def test_typed_view_of_the_workspace():
    def make(x, y, w):
        return launch(args=(TensorDesc("scratch", (4,), float32, w.at(16).slot),))

    assert steps_of(make, workspace=32).parameters == ([Slot("workspace", 0, 16)],)
    with pytest.raises(KernelError, match="PK303 .*scratch"):
        steps_of(make, workspace=31)


def test_bad_argument():
    with pytest.raises(KernelError, match="PK303 kernel 'f': argument is 'x'"):
        steps_of(lambda x, y, w: launch(args=("x",)))


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda x, y, w: Launch(None, 1, 1, ()), "PK304"),
        (lambda x, y, w: Launch("k", 1, 1, ()), "PK304"),
        (lambda x, y, w: Launch(KERNEL, 1, 1, None), "PK304"),
        (lambda x, y, w: Launch(KERNEL, 1, 1, 5), "PK304"),
        (lambda x, y, w: Copy(None, x), "PK305"),
        (lambda x, y, w: Copy(y, None), "PK305"),
        (lambda x, y, w: Copy(y, w), "PK305"),
        (lambda x, y, w: Fill(5), "PK305"),
        (lambda x, y, w: Fill(y, None), "PK305"),
        (lambda x, y, w: Fill(y, "a"), "PK305"),
        (lambda x, y, w: Fill(y, 1.5), "PK305"),
    ],
)
def test_steps_of_other_things_are_refused(make, code):
    with pytest.raises(KernelError) as caught:
        steps_of(make, workspace=8)
    assert caught.value.code == code
