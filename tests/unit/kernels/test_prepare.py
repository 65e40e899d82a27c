"""Prepared enqueues against a driver that plays CUDA's part and reads arguments as it does."""

from __future__ import annotations

import ctypes
import dataclasses
import struct
import sys
from types import SimpleNamespace

import pytest

from pluginkit import Copy, Input, Output, Plugin, bfloat16, float32
from pluginkit.contract.launches import CudaKernel, Fill, Launch
from pluginkit.contract.tensors import Slot, Workspace
from pluginkit.errors import KernelError, MissingDependencyError
from pluginkit.kernels import enqueue_program as programs
from pluginkit.kernels import load as loading
from pluginkit.kernels import prepare as preparing
from pluginkit.kernels.compile import Compiled
from pluginkit.kernels.enqueue_steps import EnqueueSteps
from pluginkit.kernels.prepare import prepare
from pluginkit.kernels.specialise import CudaSpecialisation


def driver_function(parameters, answer):
    """A C function that takes integers of these types."""
    return ctypes.CFUNCTYPE(ctypes.c_int32, *parameters)(answer)


POINTER, UNSIGNED = ctypes.c_uint64, ctypes.c_uint32


class Driver:
    """Records calls; reads as many parameters as the kernel has, each of its size."""

    CUresult = int

    def __init__(self):
        self.calls = []
        self.kernels = {}
        self.status = 0
        self.functions = (
            driver_function([POINTER, *[UNSIGNED] * 7, *[POINTER] * 3], self.launch),
            driver_function([POINTER] * 4, self.launch_early),
            driver_function([POINTER] * 4, self.copy),
            driver_function([POINTER, ctypes.c_uint8, POINTER, POINTER], self.fill),
        )

    def addresses(self):
        return tuple(ctypes.cast(each, ctypes.c_void_p).value for each in self.functions)

    def launch(self, function, *rest):
        *shape, stream, params, extra = rest
        sizes = self.kernels[function]
        addresses = (ctypes.c_void_p * len(sizes)).from_address(params)
        pairs = zip(addresses, sizes, strict=True)
        arguments = [ctypes.string_at(address, size) for address, size in pairs]
        assert extra == 0
        self.calls.append(("launch", tuple(shape), stream, arguments))
        return self.status

    def launch_early(self, config, *rest):
        known = struct.unpack("7I4xQQI4x", ctypes.string_at(config, 56))
        *shape, stream, attributes, count = known
        assert count == 1
        # CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION, and a union of 64 bytes.
        assert struct.unpack("I4xi60x", ctypes.string_at(attributes, 72)) == (6, 1)
        function, params, extra = rest
        status = self.launch(function, *shape, stream, params, extra)
        self.calls.append(("early", *self.calls.pop()[1:]))
        return status

    def copy(self, *arguments):
        self.calls.append(("copy", *arguments))
        return self.status

    def fill(self, *arguments):
        self.calls.append(("fill", *arguments))
        return self.status


class Kernel:
    """A loaded kernel; the driver knows its parameters' sizes by its address."""

    def __init__(self, sizes, driver, overlaps=False):
        self.address = 2**40 + len(driver.kernels)
        self.parameter_sizes = driver.kernels[self.address] = sizes
        self.shared_bytes = None
        self.overlaps = overlaps

    def allow_shared_bytes(self, nbytes):
        self.shared_bytes = nbytes


@pytest.fixture
def driver(monkeypatch):
    fake = Driver()
    monkeypatch.setattr(programs, "_driver_functions", fake.addresses)
    monkeypatch.setattr(preparing, "need", lambda module: fake)
    monkeypatch.setattr(preparing, "current_device", lambda: 0)
    return fake


@pytest.fixture
def kernel_with(monkeypatch, driver):
    def chosen(*sizes):
        monkeypatch.setattr(
            preparing,
            "kernels_of",
            lambda plugin, inputs, outputs, launches, _: [Kernel(sizes, driver)] * len(launches),
        )

    return chosen


def test_launch_passes_every_argument(driver, kernel_with, combine, describe):
    kernel_with(8, 8, 8, 8, 8, 4, 1)
    prepared = prepare(combine(), *describe(combine(), (3, 43)))
    for x, y in ((0x7000, 0x8000), (0x7000, 0x8000), (0x9000, 0xA000), (0x7000, 0x8000)):
        prepared.enqueue([x], [y], 0, 77)
        assert driver.calls.pop() == (
            "launch",
            (3, 1, 1, 64, 1, 1, 0),
            77,
            [
                struct.pack("<Q", x),
                bytes(8),
                struct.pack("<Q", y),
                struct.pack("<2i", 3, 4),
                struct.pack("<q", 129),
                struct.pack("<f", 0.5),
                b"\x01",
            ],
        )
    assert driver.calls == []


def test_numba_launch_and_fill(driver, kernel_with, stamp, describe):
    kernel_with(*(8,) * 14, 4, 4, 4, 1)
    prepared = prepare(stamp(), *describe(stamp(), (9,)))
    prepared.enqueue([0x7000], [0x8000], 0x9000, 5)
    fill, (name, shape, stream, arguments) = driver.calls
    assert fill == ("fill", 0x9010, 7, 9, 5)
    assert (name, shape, stream) == ("launch", (2, 1, 1, 8, 1, 1, 0), 5)
    numbers = [int.from_bytes(argument, "little") for argument in arguments]
    scratch = [0, 0, 9, 1, 0x9010, 9, 1]
    y = [0, 0, 9, 4, 0x8000, 9, 4]
    assert numbers == [*scratch, *y, 10, 20, 30, 1]


def test_launches_share_pointers(driver):
    first = [Slot("input", 1), b"abc", Slot("output"), Slot("workspace", 0, 64), b"12345678" * 3]
    second = [Slot("input", 0), b"", Slot("input", 1)]
    launches = tuple(Launch(CudaKernel("", "f"), n, 32, ()) for n in (5, 6))
    work = EnqueueSteps("P", launches, (first, second), (2, 1))
    kernels = [Kernel((8, 3, 8, 8, 24), driver), Kernel((8, 0, 8), driver)]
    prepared = preparing.PreparedSteps(work, kernels)
    for base in (0x7F00_0000_0000, 0x1000):  # the second enqueue overwrites the first one's
        prepared.enqueue([base, base + 256], [base + 512], base + 768, 7)
        words = [struct.pack("<Q", base + 256 * number) for number in range(3)]
        scratch = struct.pack("<Q", base + 768 + 64)
        assert driver.calls == [
            ("launch", (5, 1, 1, 32, 1, 1, 0), 7, [words[1], b"abc", words[2], scratch, first[4]]),
            ("launch", (6, 1, 1, 32, 1, 1, 0), 7, [words[0], b"", words[1]]),
        ]
        driver.calls.clear()


def test_a_launch_may_begin_before_the_one_that_precedes_it_has_ended(driver):
    launch = Launch(CudaKernel("", "f"), (5, 2), (32, 3), (), shared_bytes=9)
    steps = (launch, launch, Fill(Workspace(8)), launch, launch)
    work = EnqueueSteps("P", steps, ([Slot("input")],) * 4, (1, 1))
    kernels = [Kernel((8,), driver, overlaps) for overlaps in (True, True, True, False)]
    prepared = preparing.PreparedSteps(work, kernels)
    for pointer, stream in ((0x7F00_0000_0000, 7), (0x1000, 2**40)):
        prepared.enqueue([pointer], [0], 0x9000, stream)
        given = ((5, 2, 1, 32, 3, 1, 9), stream, [struct.pack("<Q", pointer)])
        plain, early = ("launch", *given), ("early", *given)
        # Not the first one, nor one after a fill.
        assert driver.calls == [plain, early, ("fill", 0x9000, 0, 8, stream), plain, plain]
        driver.calls.clear()
    assert prepared.program.extents(1) == prepared.program.extents(0) == ((5, 2, 1), (32, 3, 1))


class Copies(Plugin):
    """Copies its second input."""

    x = Input(float32, optional=True)
    x2 = Input(float32)
    y = Output(float32)

    def output_shapes(self, x, x2):
        return x2.shape

    def launches(self, x, x2, y):
        return Copy(y, x2)

    def reference(self, x, x2):
        return x2


def test_copy_takes_the_pointer_of_its_input(driver, describe):
    both = prepare(Copies(), *describe(Copies(), (2,), (5,)))
    both.enqueue([1000, 2000], [3000], 0, 9)
    alone = Copies().with_inputs("x2")
    prepare(alone, *describe(alone, (5,))).enqueue([2000], [3000], 0, 9)
    assert driver.calls == [("copy", 3000, 2000, 20, 9)] * 2


def test_nothing_to_do(driver, describe):
    prepare(Copies(), *describe(Copies(), (2,), (0,))).enqueue([0, 0], [0], 0, 0)
    assert driver.calls == []


@pytest.mark.parametrize(("inputs", "outputs"), [([], [1]), ([1, 2], []), ([1], [2, 3])])
def test_wrong_number_of_pointers(driver, describe, inputs, outputs):
    prepared = prepare(Copies(), *describe(Copies(), (2,), (5,)))
    message = f"PK332 Copies: enqueue got {len(inputs)} inputs and {len(outputs)} outputs"
    with pytest.raises(KernelError, match=message):
        prepared.enqueue(inputs, outputs, 0, 0)
    assert driver.calls == []


def test_kernel_that_takes_other_arguments(driver, kernel_with, combine, describe):
    kernel_with(8, 8, 8, 8, 4, 4, 1)
    with pytest.raises(KernelError, match="PK306 Combine"):
        prepare(combine(), *describe(combine(), (3,)))


def test_refused_step_is_named(driver, kernel_with, stamp, combine, describe, monkeypatch):
    kernel_with(*(8,) * 14, 4, 4, 4, 1)
    prepared = prepare(stamp(), *describe(stamp(), (9,)))
    kernel_with(8, 8, 8, 8, 8, 4, 1)
    other = prepare(combine(), *describe(combine(), (3, 43)))
    monkeypatch.setattr(preparing, "cuda_error", lambda status: f"CUDA_ERROR_{status}")
    driver.status = 700
    with pytest.raises(KernelError, match="PK330 Stamp: step 1 of 2, Fill: CUDA_ERROR_700"):
        prepared.enqueue([1], [2], 3, 4)
    launch = r"launch of 'combine<.*>', grid \(3, 1, 1\), block \(64, 1, 1\): CUDA_ERROR_700"
    with pytest.raises(KernelError, match=f"PK330 Combine: step 1 of 1, {launch}"):
        other.enqueue([1], [2], 3, 4)


class Own(Plugin):
    """Its own enqueue."""

    x = Input(bfloat16, optional=True)
    x2 = Input(float32)
    y = Output(float32)
    seen: list = []

    def output_shapes(self, x, x2):
        return x2.shape

    def enqueue(self, inputs, outputs, workspace, stream):
        self.seen.append((inputs, outputs, workspace, stream))

    def reference(self, x, x2):
        return x2


def test_own_enqueue_gets_device_tensors(describe):
    plugin = Own().with_inputs("x2")
    prepare(plugin, *describe(plugin, (2, 3))).enqueue([1000], [2000], 3000, 4)
    ((absent, x2), (y,), workspace, stream) = Own.seen.pop()
    assert (absent, workspace, stream) == (None, 3000, 4)
    assert (x2.name, x2.pointer, x2.shape, x2.dtype, x2.stream) == ("x2", 1000, (2, 3), float32, 4)
    assert (y.name, y.pointer) == ("y", 2000)


def test_own_enqueue_with_the_wrong_number_of_pointers(describe):
    plugin = Own().with_inputs("x2")
    with pytest.raises(KernelError, match="PK332 Own: enqueue got 2 inputs"):
        prepare(plugin, *describe(plugin, (2, 3))).enqueue([1, 2], [3], 0, 0)


class Cuda:
    """As much of cuda.bindings.driver as finding the device takes."""

    def __init__(self, current, primary, init=0):
        self.current, self.primary, self.init = current, primary, init
        self.released = []

    def cuInit(self, flags):  # noqa: N802
        return (self.init,)

    def cuCtxGetCurrent(self):  # noqa: N802
        return 0, self.current

    def cuCtxGetDevice(self):  # noqa: N802
        return 0, 1

    def cuDevicePrimaryCtxRetain(self, device):  # noqa: N802
        return 0, self.primary

    def cuDevicePrimaryCtxRelease(self, device):  # noqa: N802
        self.released.append(device)
        return (0,)

    def cuGetErrorString(self, status):  # noqa: N802
        return 0, b"no CUDA-capable device is detected"


@pytest.fixture
def cuda(monkeypatch):
    monkeypatch.setattr(loading, "_primary_contexts", {})

    def installed(*args, **options):
        fake = Cuda(*args, **options)
        monkeypatch.setattr(loading, "need", lambda module: fake)
        return fake

    return installed


def test_current_device_is_the_primary_contexts(cuda):
    fake = cuda(current=10, primary=10)
    assert loading.current_device() == 1
    assert fake.released == [1]


def test_foreign_context_is_refused(cuda):
    cuda(current=10, primary=11)
    with pytest.raises(KernelError, match="PK331"):
        loading.current_device()


def test_no_device(cuda):
    cuda(10, 10, init=SimpleNamespace(name="CUDA_ERROR_NO_DEVICE"))
    with pytest.raises(MissingDependencyError, match="PK311 .*CUDA_ERROR_NO_DEVICE"):
        loading.current_device()


def test_no_cuda_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    with pytest.raises(MissingDependencyError, match=r"PK310 cuda\.bindings\.driver"):
        loading.current_device()


def test_kernel_is_loaded_once_for_a_device(monkeypatch):
    compiled, loads = [], []
    monkeypatch.setattr(loading, "_loaded", {})
    monkeypatch.setattr(loading, "architecture_of", lambda device: "90")
    monkeypatch.setattr(
        loading,
        "machine_code",
        lambda wanted, arch: compiled.append(wanted) or {w: w for w in wanted},
    )
    monkeypatch.setattr(loading, "_load", lambda *args: loads.append(args) or object())
    first, same = (loading_kernel() for _ in range(2))
    other = loading_kernel("-DX")
    (loaded,) = loading.load_all([first], 0)
    assert loading.load_all([same, other], 0)[0] is loaded
    assert loading.load_all([first], 1) != [loaded]
    assert compiled == [[first], [other], [first]]
    assert loads == [(first, first, 0), (other, other, 0), (first, first, 1)]


def loading_kernel(*options):
    return CudaSpecialisation("code", "f", options, None)


@pytest.mark.parametrize(
    ("architecture", "overlaps", "expected"),
    [("90", True, True), ("120", True, True), ("89", True, False), ("90", False, False)],
)
def test_launches_overlap_from_compute_capability_9(monkeypatch, architecture, overlaps, expected):
    monkeypatch.setattr(loading, "need", lambda module: Modules())
    monkeypatch.setattr(loading, "_modules", {})
    monkeypatch.setattr(loading, "architecture_of", lambda device: architecture)
    wanted = dataclasses.replace(loading_kernel(), overlaps=overlaps)
    assert loading._load(wanted, Compiled(b"one", ("f",), ((8,),)), 0).overlaps == expected


class Modules:
    """A driver that loads modules, whose kernels have 200 bytes of static shared memory."""

    CUfunction_attribute = SimpleNamespace(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES=1)

    def __init__(self):
        self.images = []

    def cuModuleLoadData(self, image):  # noqa: N802
        self.images.append(image)
        return (0, len(self.images)) if image else (SimpleNamespace(name="NO_IMAGE"), None)

    def cuModuleGetFunction(self, module, symbol):  # noqa: N802
        return 0, 10 * module

    def cuFuncGetAttribute(self, attribute, function):  # noqa: N802
        return 0, 200

    def cuGetErrorString(self, status):  # noqa: N802
        return 0, b"no image"


def test_kernels_of_one_image_share_a_module(monkeypatch):
    driver = Modules()
    monkeypatch.setattr(loading, "need", lambda module: driver)
    monkeypatch.setattr(loading, "_modules", {})
    kernels = [
        loading._load(loading_kernel(), Compiled(image, ("f",), ((8,),)), 0)
        for image in (b"one", b"one", b"two")
    ]
    assert [kernel.address for kernel in kernels] == [10, 10, 20]
    assert {kernel._shared_bytes for kernel in kernels} == {48 * 1024 - 200}
    assert driver.images == [b"one", b"two"]
    with pytest.raises(KernelError, match="PK323 kernel 'f' does not load: .*NO_IMAGE"):
        loading._load(loading_kernel(), Compiled(b"", ("f",), ((8,),)), 0)
