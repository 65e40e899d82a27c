"""Both shipped plugins, and the ways to launch, on a real GPU."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from pluginkit import (
    FLOAT_TYPES,
    Copy,
    CudaKernel,
    Fill,
    Input,
    Launch,
    Output,
    Plugin,
    bfloat16,
    float16,
    float32,
    int8,
    int32,
    int64,
)
from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.errors import KernelError
from pluginkit.kernels import known_kernels, load
from pluginkit.kernels.prepare import prepare
from pluginkit.plugins.circ_pad import CircPad
from pluginkit.plugins.scatter_elements import ScatterElements

pytestmark = pytest.mark.gpu

CANARY = 256  # bytes before and after each buffer; keeps the buffer aligned
POISON = 0xA5


class Buffer:
    """Device memory between canaries."""

    def __init__(self, nbytes, content=None):
        import cupy

        self.nbytes = nbytes
        self.memory = cupy.full(nbytes + 2 * CANARY, POISON, cupy.uint8)
        self.pointer = self.memory.data.ptr + CANARY
        if content is not None:
            self.write(content)

    def write(self, array):
        self.memory[CANARY : CANARY + self.nbytes].set(np.frombuffer(array.tobytes(), np.uint8))

    def read(self, dtype, shape):
        host = self.memory.get()
        inner = host[CANARY : CANARY + self.nbytes]
        assert (host[:CANARY] == POISON).all(), "written before the buffer"
        assert (host[CANARY + self.nbytes :] == POISON).all(), "written past the buffer"
        return inner.view(dtype.numpy).reshape(shape)


class Session:
    """A prepared plugin with its own buffers and stream."""

    def __init__(self, plugin, arrays):
        import cupy

        self.plugin, self.arrays = plugin, arrays
        shapes = [array.shape for array in arrays]
        types = [dtype_from_numpy(array.dtype) for array in arrays]
        self.descs = calls.describe_inputs(plugin, shapes, types)
        self.outs = calls.describe_outputs(plugin, self.descs)
        self.prepared = prepare(plugin, self.descs, self.outs)
        self.inputs = [Buffer(array.nbytes, array) for array in arrays]
        self.outputs = [Buffer(desc.nbytes) for desc in self.outs]
        self.workspace = Buffer(calls.workspace_bytes(plugin, self.descs))
        self.stream = cupy.cuda.Stream(non_blocking=True)
        cupy.cuda.Device().synchronize()

    def enqueue(self):
        self.prepared.enqueue(
            [buffer.pointer for buffer in self.inputs],
            [buffer.pointer for buffer in self.outputs],
            self.workspace.pointer,
            self.stream.ptr,
        )

    def results(self):
        self.stream.synchronize()
        for buffer, array in zip(self.inputs, self.arrays, strict=True):
            after = buffer.read(dtype_from_numpy(array.dtype), array.shape)
            assert after.tobytes() == array.tobytes(), "an input was written to"
        return [
            buffer.read(desc.dtype, desc.shape)
            for buffer, desc in zip(self.outputs, self.outs, strict=True)
        ]

    def run(self):
        self.enqueue()
        return self.results()


def assert_close(plugin, got, expected):
    assert got.dtype == expected.dtype
    tolerance = plugin.tolerance.get(dtype_from_numpy(got.dtype), 0)
    if not tolerance:
        np.testing.assert_array_equal(got, expected)
        return
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(got[~finite], expected[~finite])
    got, expected = got[finite], expected[finite]
    error = np.abs(got - expected) / np.maximum(1, np.abs(expected))
    assert error.max(initial=0) <= tolerance


def case_id(cls, case, bindings):
    return "-".join([cls.__name__, case.name, *(dtype.name for dtype in bindings.values())])


BOUND_CASES = [
    pytest.param(cls, case, bindings, id=case_id(cls, case, bindings))
    for cls in (ScatterElements, CircPad)
    for case in cls.cases()
    for bindings in cls.spec.type_bindings()
]


def cast(cls, case, bindings):
    ports = zip(cls.spec.inputs, case.inputs, strict=True)
    return [array.astype(bindings[port.variable].numpy) for port, array in ports]


@pytest.mark.parametrize(("cls", "case", "bindings"), BOUND_CASES)
def test_case_matches_reference(cls, case, bindings):
    plugin, arrays = cls(**case.attributes), cast(cls, case, bindings)
    session = Session(plugin, arrays)
    for got, expected in zip(session.run(), calls.run_reference(plugin, arrays), strict=True):
        assert_close(plugin, got, expected)


@pytest.mark.parametrize(("cls", "case", "bindings"), BOUND_CASES)
def test_captured_graph_replays_with_new_data(cls, case, bindings):
    import cupy

    plugin, arrays = cls(**case.attributes), cast(cls, case, bindings)
    session = Session(plugin, arrays)
    session.stream.begin_capture()
    session.enqueue()
    graph = session.stream.end_capture()
    for _ in range(2):
        # New values everywhere but in the indices.
        session.arrays = [
            array if port.variable == "Tind" else np.negative(array)
            for port, array in zip(plugin.spec.inputs, session.arrays, strict=True)
        ]
        for buffer, array in zip(session.inputs, session.arrays, strict=True):
            buffer.write(array)
        for buffer in session.outputs:
            buffer.write(np.full(buffer.nbytes, POISON, np.uint8))
        # The writes are on the default stream, for which a non-blocking stream does not wait.
        cupy.cuda.Device().synchronize()
        graph.launch(session.stream)
        expected = calls.run_reference(plugin, session.arrays)
        for got, wanted in zip(session.results(), expected, strict=True):
            assert_close(plugin, got, wanted)


@pytest.mark.parametrize("reduction", ["add", "mul", "min", "max"])
@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=repr)
def test_scatter_elements_against_float64(dtype, reduction):
    rng = np.random.default_rng(64)
    data = rng.uniform(0.5, 1.5, (301, 37)).astype(dtype.numpy)
    updates = rng.uniform(0.5, 1.5, (1203, 37)).astype(dtype.numpy)
    indices = rng.integers(-301, 301, updates.shape)
    (got,) = Session(ScatterElements(reduction=reduction), [data, indices, updates]).run()
    exact = data.astype(np.float64)
    ufunc = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}[reduction]
    ufunc.at(exact, (indices, np.arange(37)), updates.astype(np.float64))
    error = np.abs(got.astype(np.float64) - exact) / np.maximum(1, np.abs(exact))
    assert error.max() <= ScatterElements.tolerance[dtype]


@pytest.mark.parametrize("dtype", ScatterElements.types["T"], ids=repr)
@pytest.mark.parametrize("index_type", [int32, int64], ids=repr)
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "min", "max"])
def test_indices_out_of_range_are_skipped(dtype, index_type, reduction):
    limits = np.iinfo(index_type.numpy)
    data = np.arange(14).reshape(2, 7).astype(dtype.numpy)
    row = [7, -8, limits.max, limits.min, 8, -7]  # the last one alone is inside
    indices = np.array([row, row], index_type.numpy)
    updates = np.full((2, 6), 3).astype(dtype.numpy)
    plugin = ScatterElements(axis=1, reduction=reduction)
    (got,) = Session(plugin, [data, indices, updates]).run()
    (expected,) = calls.run_reference(plugin, [data, indices[:, 5:], updates[:, 5:]])
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=repr)
@pytest.mark.parametrize("reduction", ["add", "mul", "min", "max"])
def test_nan_and_inf_follow_the_reference(dtype, reduction):
    special = np.array([np.nan, np.inf, -np.inf, 0, 1, -2])
    data, updates = (a.ravel().astype(dtype.numpy) for a in np.meshgrid(special, special))
    indices = np.arange(len(data))
    plugin = ScatterElements(reduction=reduction)
    (got,) = Session(plugin, [data, indices, updates]).run()
    (expected,) = calls.run_reference(plugin, [data, indices, updates])
    assert_close(plugin, got, expected)


def test_many_threads_on_one_element():
    for dtype in ScatterElements.types["T"]:
        count = 100 if dtype in (int8, float16, bfloat16) else 20_000
        data, updates = np.zeros(3, dtype.numpy), np.ones(count, dtype.numpy)
        plugin = ScatterElements(reduction="add")
        (got,) = Session(plugin, [data, np.full(count, 1), updates]).run()
        np.testing.assert_array_equal(got.astype(np.int64), [0, count, 0])


@pytest.mark.usefixtures("gigabytes")
def test_offsets_beyond_32_bits():
    import cupy

    size = 2**31 + 7
    plugin = ScatterElements(reduction="add")
    indices = np.array([0, -1, 2**31, 2**31 - 1, -1])
    descs = calls.describe_inputs(plugin, [(size,), (5,), (5,)], [int8, int64, int8])
    prepared = prepare(plugin, descs, calls.describe_outputs(plugin, descs))
    data, output = cupy.full(size, 5, cupy.int8), cupy.full(size, 99, cupy.int8)
    on_device, updates = cupy.asarray(indices), cupy.arange(1, 6, dtype=cupy.int8)
    stream = cupy.cuda.get_current_stream()
    pointers = [array.data.ptr for array in (data, on_device, updates)]
    prepared.enqueue(pointers, [output.data.ptr], 0, stream.ptr)
    assert output[cupy.array([0, 2**31 - 1, 2**31, size - 1])].tolist() == [6, 9, 8, 12]
    assert int((output != 5).sum()) == 4


@pytest.mark.usefixtures("gigabytes")
def test_pads_beyond_32_bits():
    import cupy

    size = 2**31 + 5
    plugin = CircPad(pads=(3, 2))
    descs = calls.describe_inputs(plugin, [(size,)], [int8])
    prepared = prepare(plugin, descs, calls.describe_outputs(plugin, descs))
    x = cupy.arange(size, dtype=cupy.int8)
    y = cupy.full(size + 5, 99, cupy.int8)
    prepared.enqueue([x.data.ptr], [y.data.ptr], 0, cupy.cuda.get_current_stream().ptr)
    assert bool((y[3:-2] == x).all())
    assert y[:3].tolist() == x[-3:].tolist()
    assert y[-2:].tolist() == x[:2].tolist()


SOURCE = """
struct Pair { int values[2]; };
template <bool NEGATE>
__global__ void combine(const float* x, const float* absent, float* scratch, float* y, Pair pair,
                        long long count, float factor, bool flag) {
    extern __shared__ float staged[];
    __shared__ float factors[64];
    factors[threadIdx.x] = factor;
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= count) return;
    staged[threadIdx.x] = x[i] * factors[threadIdx.x];
    scratch[i] += staged[threadIdx.x];
    y[i] = (NEGATE ? -1 : 1) * (scratch[i] + pair.values[0] * 10 + pair.values[1]);
    if (absent != nullptr || !flag) y[i] = 12345;
}
__global__ void __launch_bounds__(128) bounded(float* y) { y[threadIdx.x] = 1; }
"""


class Combine(Plugin):
    """Every kind of argument, a workspace that Fill clears, and shared memory."""

    x = Input(float32)
    y = Output(float32)
    kernel = CudaKernel(SOURCE, "combine<{NEGATE}>", constants={"NEGATE": (True, False)})
    shared_bytes = 64 * 1024

    def output_shapes(self, x):
        return x.shape

    def workspace_bytes(self, x):
        return 64 + x.nbytes

    def launches(self, x, y, workspace):
        scratch = workspace.at(64)
        args = (x, None, scratch, y, int32((3, 4)), x.size, 0.5, True)
        grid = -(-x.size // 64)
        launch = Launch(self.kernel, grid, 64, args, self.shared_bytes, {"NEGATE": True})
        return Fill(scratch), launch

    def reference(self, x):
        return -(x * np.float32(0.5) + np.float32(34))


@pytest.mark.parametrize("shared_bytes", [48 * 1024, 64 * 1024])
def test_every_kind_of_argument(shared_bytes, monkeypatch):
    """With its static shared memory the kernel has more than 48 KiB."""
    monkeypatch.setattr(Combine, "shared_bytes", shared_bytes)
    x = np.arange(-50, 83, dtype=np.float32)
    for _ in range(2):  # the second one finds the kernel in the cache
        (got,) = Session(Combine(), [x]).run()
        np.testing.assert_array_equal(got, calls.run_reference(Combine(), [x])[0])


def test_more_shared_memory_than_the_device_has():
    class Greedy(Combine):
        """Asks for all that a block may have, beside its static shared memory."""

        plugin_name = "Greedy_PK"
        shared_bytes = 227 * 1024

    with pytest.raises(KernelError, match=r"PK323 .*232448 bytes"):
        Session(Greedy(), [np.ones(3, np.float32)])


class Bounded(Plugin):
    """A launch that CUDA refuses."""

    x = Input(float32)
    y = Output(float32)
    kernel = CudaKernel(SOURCE, "bounded")
    args_of = staticmethod(lambda y: (y,))

    def output_shapes(self, x):
        return x.shape

    def launches(self, x, y):
        return Copy(y, x), Launch(self.kernel, 1, 256, self.args_of(y))

    def reference(self, x):
        return x


def test_cuda_error_names_plugin_step_and_error():
    with pytest.raises(KernelError, match=r"PK330 Bounded: step 2 of 2, .*'bounded'.*CUDA_ERROR"):
        Session(Bounded(), [np.ones(256, np.float32)]).run()


def test_wrong_number_of_pointers():
    session = Session(Bounded(), [np.ones(256, np.float32)])
    with pytest.raises(KernelError, match="PK332 Bounded: enqueue got 0 inputs"):
        session.prepared.enqueue([], [1], 0, 0)


@pytest.mark.parametrize("extra", [(1,), (int32(1), 2.0)], ids=str)
def test_arguments_that_the_kernel_does_not_declare(extra):
    class Mismatched(Bounded):
        """Passes too much."""

        plugin_name = "Mismatched_PK"
        args_of = staticmethod(lambda y: (y, *extra))

    with pytest.raises(KernelError, match=r"PK306 Mismatched: .*parameters have \[8\]"):
        Session(Mismatched(), [np.ones(256, np.float32)])


def test_compile_error_shows_the_log():
    class Broken(Bounded):
        """Its source is wrong."""

        plugin_name = "Broken_PK"
        kernel = CudaKernel("__global__ void f(float* y) {\n  undeclared(y); }\n", "f")

    with pytest.raises(KernelError, match="PK320 kernel 'f'") as caught:
        Session(Broken(), [np.ones(3, np.float32)])
    assert "undeclared" in caught.value.cause


class Doubled(Plugin):
    """Arbitrary code in place of launches."""

    x = Input((float32, bfloat16))
    y = Output((float32, bfloat16))

    def output_types(self, x):
        return x.dtype

    def output_shapes(self, x):
        return x.shape

    def enqueue(self, inputs, outputs, workspace, stream):
        import cupy

        with cupy.cuda.Stream.from_external(Handle(stream)):
            outputs[0].cupy()[...] = inputs[0].cupy() + inputs[0].cupy()

    def reference(self, x):
        return x + x


class Handle:
    """A stream in the form that cupy takes."""

    def __init__(self, stream):
        self.stream = stream

    def __cuda_stream__(self):
        return 0, self.stream


def test_enqueue_in_the_authors_hands():
    x = np.arange(37, dtype=np.float32)
    (got,) = Session(Doubled(), [x]).run()
    np.testing.assert_array_equal(got, x + x)


def test_threads_compile_once(monkeypatch):
    loads = []
    original = load._load
    monkeypatch.setattr(load, "_loaded", {})
    monkeypatch.setattr(known_kernels, "_known", {})
    monkeypatch.setattr(load, "_load", lambda w, *rest: loads.append(w) or original(w, *rest))
    arrays = [np.ones(9, np.float32)]
    failures = []

    def work():
        try:
            Session(Combine(), arrays)
        except Exception as error:  # shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(loads) == 1
