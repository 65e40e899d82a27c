"""Plugins that are wrong on purpose; each names the checks that must fail, and no others do."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pluginkit import (
    Case,
    Copy,
    CudaKernel,
    Fill,
    Input,
    InputError,
    Launch,
    OnnxOp,
    Output,
    Plugin,
    attribute,
    bool_,
    float16,
    float32,
    int32,
    int64,
    uint8,
)
from pluginkit.plugins.scatter_elements import ScatterElements
from tests.plugincheck.sound import (
    Blend,
    Host,
    HostLeakyRelu,
    HostRelu,
    HostRowMaximum,
    Pair,
    host_array,
)


@dataclass(frozen=True)
class Broken:
    """A broken plugin, the checks that must fail, and where its enqueue works."""

    plugin: type[Plugin]
    caught_by: frozenset[str]
    memory: str


BROKEN: list[Broken] = []


def broken(*caught_by: str, memory: str = "host") -> Callable[[type[Plugin]], type[Plugin]]:
    """Note which checks must fail for the class below."""

    def note(plugin: type[Plugin]) -> type[Plugin]:
        BROKEN.append(Broken(plugin, frozenset(caught_by), memory))
        return plugin

    return note


#: All that execute: what fails in every enqueue fails them all.
EXECUTING = (
    "kernel_types", "kernel_sizes", "kernel_empty", "kernel_nan_inf", "kernel_overflow", "canaries",
    "poisoned_outputs", "two_shapes", "two_contexts", "clone_independence", "determinism",
    "batch_permutation",
)  # fmt: skip

#: Those that compare values.
COMPARING = tuple(name for name in EXECUTING if name not in ("canaries", "kernel_overflow"))

#: All but that which leaves out what the plugin or its reference refuses.
REQUIRING = tuple(name for name in EXECUTING if name != "kernel_overflow")

# Samples


@broken("cases")
class TypeThatNoCaseTakes(Blend):
    def output_types(self, x, bias):
        if x.dtype is float16:
            raise InputError("no float16.", code="type")
        return x.dtype


@broken("cases")
class CaseOfWrongRank(Blend):
    @classmethod
    def cases(cls):
        yield from super().cases()
        yield Case("flat", [np.ones(3, np.float32), None])


@broken("cases")
class CaseWithUnknownAttribute(Blend):
    @classmethod
    def cases(cls):
        yield from super().cases()
        yield Case("typo", [np.ones((2, 2), np.float32), None], {"scales": 1.0})


@broken("cases")
class TwoCasesOfOneName(Blend):
    @classmethod
    def cases(cls):
        yield from super().cases()
        yield next(iter(super().cases()))


# Declaration against the ONNX schema


@broken("declaration")
class TypeThatTheOperatorLacks(HostRelu):
    onnx_op = OnnxOp("Softplus", since=1)
    types = {"T": (float32, float16, int32)}

    def reference(self, x):
        return np.log1p(np.exp(x.astype(np.float32))).astype(x.dtype)

    @classmethod
    def cases(cls):  # without a float case to compare: the declaration alone is at fault
        return ()


@broken("declaration")
class DefaultOtherThanTheSchemas(HostLeakyRelu):
    alpha: float = attribute(default=0.1)


@broken("declaration")
class AttributeOfAnotherKind(HostLeakyRelu):
    alpha: int = attribute(default=0)

    @classmethod
    def cases(cls):
        return ()


@broken("declaration")
class AttributeForgotten(HostRelu):
    onnx_op = OnnxOp("LeakyRelu", since=16)

    def reference(self, x):
        return np.where(x < 0, x * x.dtype.type(0.01), x)

    tolerance = {float32: 1e-6, float16: 2e-3}


@broken("declaration")
class TypesThatVaryApart(ScatterElements):
    plugin_name = "TypesThatVaryApart_PK"
    types = {"T": (float32,), "Tind": (int64,), "U": (float32, float16)}
    updates = Input("U", ranks=(1, 8))

    @classmethod
    def cases(cls):
        return ()


# The reference


@broken("reference_against_onnx")
class ReferenceOfAnotherOperator(HostRelu):
    def reference(self, x):
        return np.abs(x)


@broken("reference")
class ReferenceThatChangesItsInput(HostRelu):
    def compute(self, x):
        return np.maximum(x, x.dtype.type(0))

    def reference(self, x):
        x[x < 0] = -1
        return np.maximum(x, x.dtype.type(0)) * 1


_tick = itertools.count()


@broken(
    "reference", "kernel_types", "kernel_nan_inf", "poisoned_outputs", "two_shapes",
    "two_contexts", "clone_independence", "determinism",
)  # fmt: skip
class ReferenceThatVaries(Pair):
    def reference(self, x, n):
        y, positive = super().reference(x, n)
        return y, positive + np.int32(next(_tick))


@broken("reference", "shape_function", "dtypes", "build", *REQUIRING)
class ReferenceOfAnotherShape(Blend):
    def reference(self, x, bias):
        return super().reference(x, bias)[:, :-1]


# Shapes, types, workspace


@broken("shape_function", "life_cycle", "build", "two_shapes")
class ShapeFunctionThatAsks(Blend):
    def output_shapes(self, x, bias):
        return x.shape[0], x.shape[1] * 2 if x.shape[1] > 0 else 0


@broken("shape_function", "life_cycle")
class SymbolicShapeOfItsOwn(Blend):
    """Right where dimensions are known, one too large where they are not."""

    def output_shapes(self, x, bias):
        columns = x.shape[1] * 2
        return x.shape[0], columns if isinstance(columns, int) else columns + 1


@broken("shape_function")
class ShapeThatTurnsOutWrongWhenEmpty(Pair):
    def reference(self, x, n):
        if x.size == 0:
            return np.zeros((1, *x.shape[1:]), x.dtype), np.zeros(1, np.int32)
        return super().reference(x, n)


@broken("dtypes", "life_cycle")
class TypeFromTheShape(Blend):
    def output_types(self, x, bias):
        return x.dtype if x.ndim else float32 if x.dtype is float16 else float16


@broken("dtypes")
class BoolOutput(HostRelu):
    onnx_op = None
    y = Output(bool_)

    def reference(self, x):
        return x > 0


@broken("dtypes", "build")
class Uint8Output(HostRelu):
    onnx_op = None
    y = Output(uint8)

    def reference(self, x):
        return (x > 0).astype(np.uint8)


@broken("workspace")
class WorkspaceThatShrinks(Blend):
    def workspace_bytes(self, x, bias):
        return 4096 if x.shape[0] < 4 else 1024


class _Workspace(Blend, abstract=True):
    returned: object = None

    def workspace_bytes(self, x, bias):
        return self.returned


WORKSPACE = ("workspace", "life_cycle", "build", *EXECUTING)


@broken(*WORKSPACE)
class WorkspaceNone(_Workspace):
    returned = None


@broken(*WORKSPACE)
class WorkspaceFloat(_Workspace):
    returned = 1.5


@broken(*WORKSPACE)
class WorkspaceNegative(_Workspace):
    returned = -8


@broken(*WORKSPACE)
class WorkspaceRaises(Blend):
    def workspace_bytes(self, x, bias):
        raise ZeroDivisionError("in workspace_bytes")


@broken(
    "reference", "shape_function", "format_combinations", "life_cycle", "dtypes", "build",
    *REQUIRING,
)  # fmt: skip
class OutputTypesRaise(Blend):
    def output_types(self, x, bias):
        raise ZeroDivisionError("in output_types")


@broken("format_combinations")
class MoreThanAHundredCombinations(Plugin):
    """3 to the power of 10 combinations of types: no check may try them all."""

    types = dict.fromkeys("ABCDEFGHIJ", (float32, float16, int32))
    a, b, c, d, e = Input("A"), Input("B"), Input("C"), Input("D"), Input("E")
    f, g, h, i, j = Input("F"), Input("G"), Input("H"), Input("I"), Input("J")
    y = Output("A")

    def output_shapes(self, *inputs):
        return inputs[0].shape

    def enqueue(self, inputs, outputs, workspace, stream):
        host_array(outputs[0])[...] = host_array(inputs[0])

    def reference(self, *arrays):
        return arrays[0]

    @classmethod
    def cases(cls):
        yield Case("one", [np.ones((2, 2), np.float32)] * 10)


# Attributes


def forced(**methods: object) -> Callable[[type[Plugin]], type[Plugin]]:
    """Give the class methods that it may not define, as an author can only by force."""

    def force(plugin: type[Plugin]) -> type[Plugin]:
        for name, method in methods.items():
            setattr(plugin, name, method)
        return plugin

    return force


def without_count(self):
    return {name: value for name, value in Blend.to_wire(self).items() if name != "count"}


@broken("attributes", "serialization", "reload")
@forced(to_wire=without_count)
class AttributeThatIsNotWritten(Blend):
    """Its fields lack ``count``."""


@broken("attributes", "serialization", "reload")
@forced(to_wire=lambda self: Blend.to_wire(self) | {"count": self.count & 0x7FFFFFFF})
class AttributeCutTo32Bits(Blend):
    """Its fields hold 31 bits of ``count``."""


_kept: list[int] = []


def keep(self):
    _kept.append(self.count)
    return Blend.to_wire(self) | {"count": len(_kept) - 1}


@classmethod
def take(cls, wire, where=None):
    return Blend.from_wire.__func__(cls, dict(wire) | {"count": _kept[wire["count"]]}, where)


@broken("reload")
@forced(
    to_wire=keep,
    from_wire=take,
    __eq__=lambda self, other: type(self) is type(other) and self.count == other.count,
)
class AttributeKeptInThisProcess(Blend):
    """Writes the place of its value in a list; another process has no such list."""


# Registry


@broken(
    "registry", "serialization", "format_combinations", "life_cycle", "build", "reload", *EXECUTING
)
class NameOfAnOperator(Blend):
    plugin_name = "Softmax"


@broken("shape_function", "life_cycle", "build", "two_shapes")
class CheckThatRaises(Blend):
    """Refuses every shape but those of its cases."""

    def check(self, x, bias):
        if any(not isinstance(dim, int) for dim in x.shape):
            raise ZeroDivisionError("in check")


# Launches and compilation


class _Copying(Plugin, abstract=True):
    types = {"T": (float32, float16)}
    x = Input("T")
    y = Output("T")
    z = Output("T")

    kernel = CudaKernel(
        """
        #include <cuda_fp16.h>
        template <typename T> __global__ void twice(T* y, const T* x, long long n) {
            long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
            if (i < n) y[i] = T(float(x[i]) * 2.0f);
        }
        """,
        "twice<{T}>",
    )

    def output_shapes(self, x):
        return x.shape, x.shape

    def twice(self, x, y):
        return Launch(self.kernel, -(-x.size // 256), 256, (y, x, x.size))

    def launches(self, x, y, z):
        return self.twice(x, y), Copy(z, x)

    def reference(self, x):
        return x * x.dtype.type(2), x

    @classmethod
    def cases(cls):
        yield Case("line", [np.linspace(-2, 2, 30, dtype=np.float32).reshape(5, 6)])


class Copying(_Copying):
    """Nothing is wrong with this one."""


@broken("launches", memory="gpu")
class OutputThatNoStepWrites(_Copying):
    def launches(self, x, y, z):
        return (self.twice(x, y),)


@broken("launches", memory="gpu")
class StepIntoAnInput(_Copying):
    def launches(self, x, y, z):
        return self.twice(x, y), Copy(z, x), Fill(x, 0)


@broken("launches", memory="gpu")
class ArgumentPastItsBuffer(_Copying):
    def launches(self, x, y, z):
        return self.twice(x, replace(y, shape=(y.size + 1,))), Copy(z, x)


@broken("launches", memory="gpu")
class BlockTooLarge(_Copying):
    def launches(self, x, y, z):
        return Launch(self.kernel, 1, 4096, (y, x, x.size)), Copy(z, x)


@broken("compile", memory="gpu")
class KernelThatDoesNotCompile(_Copying):
    kernel = CudaKernel(
        "template <typename T> __global__ void twice(T* y, const T* x, long long n) { y[0] = }\n",
        "twice<{T}>",
    )


@broken("compile", memory="gpu")
class KernelForOneTypeOnly(_Copying):
    """Half has no such constructor without its header."""

    kernel = CudaKernel(
        "template <typename T> __global__ void twice(T* y, const T* x, long long n) {}\n",
        "twice<{T}>",
    )


@broken("compile", memory="gpu")
class KernelForNewGpusOnly(_Copying):
    """bfloat16 arithmetic by name, which 7.5 lacks."""

    kernel = CudaKernel(
        """
        #include <cuda_fp16.h>
        template <typename T> __global__ void twice(T* y, const T* x, long long n) {
            asm volatile("cp.async.wait_all;");
            y[0] = x[0];
        }
        """,
        "twice<{T}>",
    )


@broken("compile", memory="gpu")
class ArgumentOfAnotherWidth(_Copying):
    def twice(self, x, y):
        return Launch(self.kernel, -(-x.size // 256), 256, (y, x, int32(x.size)))


@broken("compile", memory="gpu")
class BlockLargerThanItsLaunchBounds(_Copying):
    kernel = CudaKernel(
        """
        #include <cuda_fp16.h>
        template <typename T>
        __global__ void __launch_bounds__(64) twice(T* y, const T* x, long long n) {
            long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
            if (i < n) y[i] = x[i];
        }
        """,
        "twice<{T}>",
    )


@broken("exports", memory="gpu")
class BlockThatChangesFromCallToCall(_Copying):
    """Any block gives the same result, but what is exported has one."""

    _blocks = itertools.cycle((128, 256))

    def launches(self, x, y, z):
        block = next(self._blocks)
        return Launch(self.kernel, -(-x.size // block), block, (y, x, x.size)), Copy(z, x)


# Execution in host memory


@broken(*COMPARING)
class WrongArithmetic(Blend):
    def compute(self, x, bias):
        return self.reference(x, bias) + x.dtype.type(0.5)


@broken("kernel_types", "kernel_nan_inf", "poisoned_outputs")
class WrongInFloat16(Pair):
    def compute(self, x, n):
        y, positive = self.reference(x, n)
        return (y + x.dtype.type(x.dtype == np.float16), positive)


@broken("kernel_sizes", "two_shapes")
class WrongBeyondATile(Blend):
    """As if the grid were rounded down: rows beyond the first 6 are not computed."""

    def compute(self, x, bias):
        y = self.reference(x, bias)
        y[6:] = 0
        return y


@broken("kernel_empty", "canaries")
class FailsWhenEmpty(Blend):
    def compute(self, x, bias):
        x.max()
        return self.reference(x, bias)


@broken("kernel_empty")
class WrongForSizeOne(Blend):
    def compute(self, x, bias):
        y = self.reference(x, bias)
        return y * y.dtype.type(0) if x.shape[0] == 1 else y


@broken("kernel_nan_inf")
class SwallowsNan(Blend):
    def compute(self, x, bias):
        return np.nan_to_num(self.reference(x, bias))


@broken("kernel_nan_inf")
class LargestNumberForInfinity(Blend):
    def compute(self, x, bias):
        y = self.reference(x, bias)
        return np.where(np.isinf(y), np.copysign(np.finfo(y.dtype).max, y), y)


@broken("kernel_nan_inf")
class InfinityOfTheOtherSign(Blend):
    def compute(self, x, bias):
        y = self.reference(x, bias)
        return np.where(np.isinf(y), -y, y)


@broken("kernel_nan_inf")
class MaximumThatBeginsAtZero(HostRowMaximum):
    def compute(self, x):
        return x.max(axis=1, initial=0)


@broken("kernel_sizes")
class WrongUnlessSquare(Host):
    """A transposition that takes the rows for the columns."""

    x = Input(float32, ranks=(2, 2))
    y = Output(float32)

    def output_shapes(self, x):
        return x.shape[::-1]

    def reference(self, x):
        return np.ascontiguousarray(x.T)

    def compute(self, x):
        return np.resize(np.resize(x, (x.shape[0], x.shape[0])).T, x.T.shape)

    @classmethod
    def cases(cls):
        yield Case("square", [np.arange(9, dtype=np.float32).reshape(3, 3)])


@broken("kernel_overflow")
class ExponentialsWithoutTheMaximum(HostRowMaximum):
    """As a log-sum-exp that overflows."""

    def compute(self, x):
        is_lost = np.isfinite(x) & np.isinf(np.exp(x))
        return np.where(is_lost.any(axis=1), np.nan, self.reference(x))


@broken("kernel_attributes")
class AttributeThatTheKernelIgnores(HostLeakyRelu):
    def compute(self, x):
        return np.where(x < 0, x * x.dtype.type(0.5), x)


@broken("kernel_integers", memory="gpu")
class RemainderOfTheSignOfItsDividend(Plugin):
    x = Input("T")
    y = Output("T", like="x")
    types = {"T": (int32, int64)}
    kernel = CudaKernel(
        "template <typename T> __global__ void r(T* y, const T* x) { y[0] = x[0] % 7; }\n",
        "r<{T}>",
    )

    def launches(self, x, y):
        return Launch(self.kernel, x.size, 1, (y, x))

    def reference(self, x):
        return x % x.dtype.type(7)

    @classmethod
    def cases(cls):
        yield Case("one", [np.array([5], np.int32)])


@broken("canaries")
class CopiesWhatLiesPastItsInput(Blend):
    """Reads as far past x as it writes past y."""

    def enqueue(self, inputs, outputs, workspace, stream):
        super().enqueue(inputs, outputs, workspace, stream)
        x, y = inputs[0], outputs[0]
        ctypes.memmove(y.pointer + y.nbytes, x.pointer + x.nbytes, 508)


@broken("canaries")
class AddsPastTheEnd(Blend):
    def enqueue(self, inputs, outputs, workspace, stream):
        super().enqueue(inputs, outputs, workspace, stream)
        past = (ctypes.c_float * 1).from_address(outputs[0].pointer + outputs[0].nbytes)
        past[0] += 1e-3


@broken("canaries")
class WritesPastTheEnd(Blend):
    def enqueue(self, inputs, outputs, workspace, stream):
        super().enqueue(inputs, outputs, workspace, stream)
        ctypes.memset(outputs[0].pointer + outputs[0].nbytes, 1, 1)


@broken("canaries")
class WritesBeforeTheStart(Blend):
    def enqueue(self, inputs, outputs, workspace, stream):
        super().enqueue(inputs, outputs, workspace, stream)
        ctypes.memset(outputs[0].pointer - 1, 1, 1)


@broken("canaries")
class WritesPastItsWorkspace(Blend):
    def enqueue(self, inputs, outputs, workspace, stream):
        super().enqueue(inputs, outputs, workspace, stream)
        ctypes.memset(workspace, 1, inputs[0].nbytes + 4)


@broken("canaries", "two_contexts")
class WritesToAnInput(Blend):
    def enqueue(self, inputs, outputs, workspace, stream):
        super().enqueue(inputs, outputs, workspace, stream)
        if inputs[0].nbytes:
            ctypes.memset(inputs[0].pointer, 1, 1)


@broken(*COMPARING)
class LeavesAnElementUnwritten(Blend):
    def enqueue(self, inputs, outputs, workspace, stream):
        y = host_array(outputs[0])
        before = y.copy()
        super().enqueue(inputs, outputs, workspace, stream)
        y[-1:, -1:] = before[-1:, -1:]


@broken("poisoned_outputs")
class ReliesOnItsWorkspace(Blend):
    """Takes the workspace for what it happens to be elsewhere."""

    def enqueue(self, inputs, outputs, workspace, stream):
        super().enqueue(inputs, outputs, workspace, stream)
        is_new = inputs[0].nbytes and ctypes.string_at(workspace, 1) != b"\x7b"
        if is_new:
            host_array(outputs[0])[...] = 7


_shapes: dict[int, tuple[int, ...]] = {}


@broken("two_shapes")
class RemembersTheFirstShape(Blend):
    """Keeps the number of rows that its pointer had first."""

    def enqueue(self, inputs, outputs, workspace, stream):
        first = _shapes.setdefault(id(self), inputs[0].shape)
        super().enqueue(inputs, outputs, workspace, stream)
        host_array(outputs[0])[first[0] :] = 0


_scratch = np.zeros(1 << 20, np.uint8)


@broken("two_contexts")
class SharesScratchMemory(Blend):
    """Two threads meet in one buffer."""

    def enqueue(self, inputs, outputs, workspace, stream):
        import time

        super().enqueue(inputs, outputs, workspace, stream)
        y = host_array(outputs[0])
        scratch = _scratch[: y.nbytes].view(y.dtype).reshape(y.shape)
        mark = y.dtype.type(outputs[0].pointer // 16 % 97)
        scratch[...] = mark
        time.sleep(0.002)
        if (scratch != mark).any():
            y[...] = scratch


@broken("determinism")
class WrongFromTheNinthRunOn(Blend):
    """Counts its runs."""

    def enqueue(self, inputs, outputs, workspace, stream):
        super().enqueue(inputs, outputs, workspace, stream)
        runs = getattr(self, "_runs", 0) + 1
        object.__setattr__(self, "_runs", runs)
        if runs > 8:
            host_array(outputs[0])[...] = 9


@broken("determinism")
class KeepsTheFirstResult(Blend):
    """As if what depends on values were prepared once for each shape."""

    def enqueue(self, inputs, outputs, workspace, stream):
        super().enqueue(inputs, outputs, workspace, stream)
        kept = self.__dict__.setdefault("_kept", {})
        y = host_array(outputs[0])
        y[...] = kept.setdefault(y.shape, y.copy())


@broken("batch_permutation", "kernel_sizes", "kernel_nan_inf", "two_shapes", "determinism")
class AssumesThatRowsAreSorted(Blend):
    """As a binary search would; the cases happen to be sorted."""

    def compute(self, x, bias):
        y = self.reference(x, bias)
        is_sorted = x.size == 0 or (np.diff(x[:, 0]) >= 0).all()
        return y if is_sorted else np.flip(y)

    @classmethod
    def cases(cls):
        x = np.sort(np.random.default_rng(1).uniform(1, 2, (6, 4)).astype(np.float32), axis=0)
        yield Case("sorted", [x, None])


@broken(*EXECUTING)
class EnqueueRaises(Blend):
    def enqueue(self, inputs, outputs, workspace, stream):
        raise ZeroDivisionError("in enqueue")
