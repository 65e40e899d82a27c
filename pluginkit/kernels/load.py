"""Load kernels onto the current GPU, each once per process and device."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from pluginkit.errors import KernelError, MissingDependencyError
from pluginkit.kernels.compile import Compiled
from pluginkit.kernels.cuda_packages import need
from pluginkit.kernels.machine_code import machine_code
from pluginkit.kernels.specialise import CudaSpecialisation, Specialisation

#: Shared memory in bytes, static and dynamic, that every kernel may use.
_PLAIN_SHARED_BYTES = 48 * 1024
#: The compute capability, without its dot, from which launches can overlap.
_OVERLAPPING = 90


class LoadedKernel:
    """A kernel in the primary context of a device.

    Attributes:
        function: the ``CUfunction``.
        address: the same as an int.
        parameter_sizes: bytes of each parameter.
        overlaps: whether a launch may begin before the one that precedes it has ended.

    Args:
        static_bytes: the kernel's static shared memory.
    """

    def __init__(
        self,
        name: str,
        function: Any,
        parameter_sizes: tuple[int, ...],
        module: Any,
        overlaps: bool = False,
        static_bytes: int = 0,
    ) -> None:
        self.function = function
        self.address = int(function)
        self.parameter_sizes = parameter_sizes
        self.overlaps = overlaps
        self._name = name
        self._module = module  # must not be unloaded
        self._shared_bytes = _PLAIN_SHARED_BYTES - static_bytes

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
#: The modules of each image on each device; kernels that were compiled together share one.
_modules: dict[tuple[int, bytes], Any] = {}
_lock = threading.Lock()
#: The device of each context that was found to be a primary one.
_primary_contexts: dict[int, int] = {}


def load_all(wanted: Sequence[Specialisation], device: int) -> list[LoadedKernel]:
    """Return kernels on the current device; compile those that are used for the first time.

    Errors:
        PK320 to PK323.
    """
    try:
        return [_loaded[device, one] for one in wanted]
    except KeyError:
        pass
    with _lock:
        missing = [one for one in wanted if (device, one) not in _loaded]
        for one, code in machine_code(missing, architecture_of(device)).items():
            _loaded[device, one] = _load(one, code, device)
    return [_loaded[device, one] for one in wanted]


def current_device() -> int:
    """Return the ordinal of the current device, and check that its primary context is current.

    Errors:
        PK310, PK311: no CUDA packages, or no GPU.  PK331: another context is current.
    """
    if _primary_contexts:  # cupy's way to the driver is the shorter one
        known = _primary_contexts.get(need("cupy").cuda.driver.ctxGetCurrent())
        if known is not None:
            return known
    driver = need("cuda.bindings.driver")
    try:
        (status,) = driver.cuInit(0)
    except Exception as error:  # cuda.bindings has its own type for a missing libcuda
        raise _no_gpu(str(error)) from error
    if status:
        raise _no_gpu(cuda_error(status))
    if not _current_context(driver):
        runtime = need("cupy").cuda.runtime
        runtime.setDevice(runtime.getDevice())
    device = _checked(driver.cuCtxGetDevice())
    primary = _checked(driver.cuDevicePrimaryCtxRetain(device))
    _checked(driver.cuDevicePrimaryCtxRelease(device))
    current = _current_context(driver)
    if int(primary) != current:
        raise KernelError(
            "PK331",
            "the current CUDA context is not its device's primary context; expected that one.",
            cause="cupy, CUDA's runtime and TensorRT use the primary context.",
            fix="do not push another context around TensorRT's calls.",
        )
    _primary_contexts[current] = int(device)
    return int(device)


def _current_context(driver: Any) -> int:
    return int(_checked(driver.cuCtxGetCurrent()))


def _no_gpu(reason: str) -> MissingDependencyError:
    return MissingDependencyError(
        "PK311",
        f"no CUDA GPU: {reason.rstrip('.')}.",
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


@cache
def architecture_of(device: int) -> str:
    """Return a device's compute capability without its dot."""
    driver = need("cuda.bindings.driver")
    names = driver.CUdevice_attribute
    major, minor = (
        _checked(driver.cuDeviceGetAttribute(name, device))
        for name in (
            names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    )
    return f"{major}{minor}"


def _load(wanted: Specialisation, code: Compiled, device: int) -> LoadedKernel:
    driver = need("cuda.bindings.driver")
    try:
        module = _modules.get((device, code.cubin))
        if module is None:
            module = _modules[device, code.cubin] = _checked(driver.cuModuleLoadData(code.cubin))
        function = _checked(driver.cuModuleGetFunction(module, code.symbols[0].encode()))
        attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES
        static_bytes = _checked(driver.cuFuncGetAttribute(attribute, function))
    except KernelError as error:
        raise KernelError("PK323", f"kernel '{wanted}' does not load: {error.message}") from error
    overlaps = isinstance(wanted, CudaSpecialisation) and wanted.overlaps
    overlaps = overlaps and int(architecture_of(device)) >= _OVERLAPPING
    sizes = code.parameter_sizes[0]
    return LoadedKernel(str(wanted), function, sizes, module, overlaps, static_bytes)
