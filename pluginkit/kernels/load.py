"""Compile kernels for the current GPU and load them, each once per process and device.

cupy (RawModule, NVRTC) compiles CUDA C++ and keeps the machine code on disk;
:mod:`pluginkit.kernels.numba_cache` does so for numba kernels.
"""

from __future__ import annotations

import re
import threading
from typing import Any

from pluginkit.errors import KernelError, MissingDependencyError
from pluginkit.kernels.compile import cuda_options
from pluginkit.kernels.cuda_packages import need
from pluginkit.kernels.numba_cache import compiled_numba
from pluginkit.kernels.nvrtc import raise_compile_error, with_author_lines
from pluginkit.kernels.specialise import CudaSpecialisation, NumbaSpecialisation, Specialisation

#: A source file, before its line, in the log of cupy.
_CUPYS_FILE = re.compile(r"\S+\.cu(?=\(\d+\): )")
#: Dynamic shared memory in bytes that every kernel may use.
_PLAIN_SHARED_BYTES = 48 * 1024


class LoadedKernel:
    """A kernel in the primary context of a device.

    Attributes:
        function: the ``CUfunction``.
        address: the same as an int.
        parameter_sizes: bytes of each parameter; None with a driver before CUDA 12.4, which cannot
            tell.
    """

    def __init__(
        self, name: str, function: Any, parameter_sizes: tuple[int, ...] | None, module: Any
    ) -> None:
        self.function = function
        self.address = int(function)
        self.parameter_sizes = parameter_sizes
        self._name = name
        self._module = module  # must not be unloaded
        self._shared_bytes = _PLAIN_SHARED_BYTES

    def allow_shared_bytes(self, nbytes: int) -> None:
        """Let launches use this much dynamic shared memory.

        Errors:
            PK323: the device has less.
        """
        if nbytes <= self._shared_bytes:
            return
        driver = need("cuda.bindings.driver")
        attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        (status,) = driver.cuFuncSetAttribute(self.function, attribute, nbytes)
        if status:
            raise KernelError(
                "PK323",
                f"kernel '{self._name}' asks for {nbytes} bytes of shared memory per block: "
                f"{cuda_error(status)}.",
                fix="ask for less; most GPUs allow about 99 KB, some 227 KB.",
            )
        self._shared_bytes = nbytes


_loaded: dict[tuple[int, Specialisation], LoadedKernel] = {}
_lock = threading.Lock()


def load(wanted: Specialisation, device: int) -> LoadedKernel:
    """Return the kernel on the current device; compile it on its first use in this process.

    Errors:
        PK320 to PK323.
    """
    kernel = _loaded.get((device, wanted))
    if kernel is None:
        with _lock:
            kernel = _loaded.get((device, wanted))
            if kernel is None:
                if isinstance(wanted, CudaSpecialisation):
                    kernel = _load_cuda(wanted)
                else:
                    kernel = _load_numba(wanted, device)
                _loaded[device, wanted] = kernel
    return kernel


def current_device() -> int:
    """Return the ordinal of the current device, and check that its primary context is current.

    Errors:
        PK310, PK311: no CUDA packages, or no GPU.  PK331: another context is current.
    """
    driver = need("cuda.bindings.driver")
    try:
        (status,) = driver.cuInit(0)
    except Exception as error:  # cuda.bindings has its own type for a missing libcuda
        raise _no_gpu(str(error)) from error
    if status:
        raise _no_gpu(cuda_error(status))
    if not int(_checked(driver.cuCtxGetCurrent())):
        runtime = need("cupy").cuda.runtime
        runtime.setDevice(runtime.getDevice())
    device = _checked(driver.cuCtxGetDevice())
    primary = _checked(driver.cuDevicePrimaryCtxRetain(device))
    _checked(driver.cuDevicePrimaryCtxRelease(device))
    if int(primary) != int(_checked(driver.cuCtxGetCurrent())):
        raise KernelError(
            "PK331",
            "the current CUDA context is not its device's primary context; expected that one.",
            cause="cupy, CUDA's runtime and TensorRT use the primary context.",
            fix="do not push another context around TensorRT's calls.",
        )
    return int(device)


def _no_gpu(reason: str) -> MissingDependencyError:
    return MissingDependencyError(
        "PK311",
        f"no CUDA GPU: {reason}.",
        fix="run kernels on a machine with an NVIDIA GPU and driver; references, checks and "
        "builds need none.",
    )


def cuda_error(status: Any) -> str:
    """Return the name and description of a ``CUresult``."""
    driver = need("cuda.bindings.driver")
    _, text = driver.cuGetErrorString(status)
    return f"{status.name} ({text.decode() if text else 'unknown'})"


def _checked(result: tuple[Any, ...]) -> Any:
    status, *values = result
    if status:
        raise KernelError("PK323", f"the CUDA driver answers {cuda_error(status)}.")
    return values[0] if values else None


def _load_cuda(wanted: CudaSpecialisation) -> LoadedKernel:
    cupy = need("cupy")
    driver = need("cuda.bindings.driver")
    module = cupy.RawModule(
        code=wanted.code,
        options=cuda_options(wanted),
        name_expressions=[wanted.expression],
    )
    try:
        function = module.get_function(wanted.expression)
        pointer = function.kernel.ptr
    except cupy.cuda.compiler.CompileException as error:
        # cupy compiles a copy in a temporary folder, under a name of its choice.
        log = _CUPYS_FILE.sub("kernel.cu", error.get_message())
        log = with_author_lines(log, {"kernel.cu"}, wanted.file, wanted.line)
        raise_compile_error("PK320", str(wanted), "this GPU", log, error)
    except cupy.cuda.driver.CUDADriverError as error:
        raise KernelError("PK323", f"kernel '{wanted}' does not load: {error}.") from error
    handle = driver.CUfunction(pointer)
    return LoadedKernel(str(wanted), handle, _parameter_sizes(handle), (module, function))


def _load_numba(wanted: NumbaSpecialisation, device: int) -> LoadedKernel:
    driver = need("cuda.bindings.driver")
    attributes = driver.CUdevice_attribute
    major = _checked(
        driver.cuDeviceGetAttribute(attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)
    )
    minor = _checked(
        driver.cuDeviceGetAttribute(attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)
    )
    compiled = compiled_numba(wanted, f"{major}{minor}")
    module = _checked(driver.cuModuleLoadData(compiled.cubin))
    function = _checked(driver.cuModuleGetFunction(module, compiled.symbols[0].encode()))
    return LoadedKernel(str(wanted), function, compiled.parameter_sizes[0], module)


def _parameter_sizes(function: Any) -> tuple[int, ...] | None:
    driver = need("cuda.bindings.driver")
    sizes: list[int] = []
    while True:
        try:
            status, _, size = driver.cuFuncGetParamInfo(function, len(sizes))
        except RuntimeError:  # the driver is older than the function
            return None
        if status == driver.CUresult.CUDA_ERROR_INVALID_VALUE:  # past the last parameter
            return tuple(sizes)
        _checked((status,))
        sizes.append(int(size))
