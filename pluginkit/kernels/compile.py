"""Compile kernels for a given architecture; needs no GPU.

NVRTC compiles CUDA C++ with the options that cupy would give it; numba-cuda and nvJitLink compile
numba kernels. On a GPU cupy compiles CUDA C++ instead (:mod:`pluginkit.kernels.load`), because it
has a cache on disk.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from pluginkit.contract import calls
from pluginkit.contract.launches import Launch
from pluginkit.contract.tensors import TensorDesc
from pluginkit.errors import KernelError
from pluginkit.kernels.arguments import check_parameters, parameters
from pluginkit.kernels.cuda_packages import need, numba_cuda
from pluginkit.kernels.specialise import (
    CudaSpecialisation,
    NumbaSpecialisation,
    specialise,
    type_bindings,
)

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Plugin

#: The compute capabilities to compile for if there is no GPU.
ARCHITECTURES = ("75", "80", "86", "89", "90", "100", "120")

_ENTRY = re.compile(r"\.entry\s+([\w$]+)\s*\(([^)]*)\)")
_PARAMETER = re.compile(r"\.param\s+(?:\.align\s+\d+\s+)?\.[a-z](\d+)[^,\[]*(?:\[(\d+)\])?")
#: In a mangled name, the tag that tells the functions of one name apart.
_NUMBA_COUNT = re.compile(r"B\d+v(\d+)(?=B)")

_numba_lock = threading.Lock()


@dataclass(frozen=True)
class Compiled:
    """Machine code for one architecture.

    Attributes:
        cubin: the ELF image that the driver loads.
        symbols: the mangled name of each requested kernel.
        parameter_sizes: for each kernel, the bytes of each parameter.
        ptx: what the driver of a later GPU compiles; empty if it was not kept.
    """

    cubin: bytes
    symbols: tuple[str, ...]
    parameter_sizes: tuple[tuple[int, ...], ...]
    ptx: bytes = field(default=b"", compare=False)


def compile_launches(
    plugin: Plugin, inputs: calls.Inputs, outputs: Sequence[TensorDesc], arch: str
) -> list[Compiled]:
    """Compile the kernel of every launch that the plugin makes for these shapes and types.

    Args:
        plugin: the plugin.
        inputs: concrete descriptions, as for :func:`pluginkit.contract.calls.steps`.
        outputs: concrete descriptions of the outputs.
        arch: the compute capability without its dot, ``"86"``.

    Errors:
        PK300 to PK303, PK306, PK320 to PK322.
    """
    bindings = type_bindings(plugin, inputs, outputs)
    every = []
    for launch in calls.steps(plugin, inputs, outputs):
        if not isinstance(launch, Launch):
            continue
        wanted = specialise(plugin, bindings, launch)
        if isinstance(wanted, CudaSpecialisation):
            compiled = compile_cuda([wanted], arch)
        else:
            compiled = compile_numba(wanted, arch)
        (expected,) = compiled.parameter_sizes
        check_parameters(type(plugin).__name__, launch.kernel.name, parameters(launch), expected)
        every.append(compiled)
    return every


def cuda_options(wanted: CudaSpecialisation) -> tuple[str, ...]:
    """Return NVRTC's options: C++17, the header folders of CUDA, CCCL and source, the author's."""
    pathfinder = need("cuda.pathfinder")
    folders = [pathfinder.find_nvidia_header_directory("cudart"), *_cccl_folders(), wanted.folder]
    includes = tuple(f"-I{folder}" for folder in folders if folder is not None)
    return ("--std=c++17", *includes, *wanted.options)


@cache
def _cccl_folders() -> tuple[Path, ...]:
    """Return the folders of CUB, Thrust and libcu++ that cupy brings."""
    cupy = importlib.util.find_spec("cupy")
    if cupy is None or cupy.origin is None:
        return ()
    bundled = Path(cupy.origin).parent / "_core" / "include" / "cupy" / "_cccl"
    return tuple(bundled / name for name in ("cub", "thrust", "libcudacxx"))


def compile_cuda(wanted: Sequence[CudaSpecialisation], arch: str) -> Compiled:
    """Compile several name expressions of one source together.

    Args:
        wanted: specialisations that differ in ``expression`` only.
        arch: the compute capability without its dot.

    Errors:
        PK320: NVRTC refuses the source; the log is the cause.
    """
    nvrtc = need("cuda.bindings.nvrtc")
    options = [
        f"--gpu-architecture=sm_{arch}",
        "-ftz=true",  # cupy's, too
        "-frandom-seed=pluginkit",  # the same source is the same code in every process
        *cuda_options(wanted[0]),
    ]
    encoded = [option.encode() for option in options]
    names = [each.expression.encode() for each in wanted]
    program = _nvrtc(nvrtc.nvrtcCreateProgram(wanted[0].code.encode(), b"kernel.cu", 0, [], []))
    try:
        for name in names:
            _nvrtc(nvrtc.nvrtcAddNameExpression(program, name))
        (status,) = nvrtc.nvrtcCompileProgram(program, len(encoded), encoded)
        if status:
            raise_compile_error(
                "PK320", ", ".join(map(str, wanted)), f"sm_{arch}", _nvrtc_log(nvrtc, program)
            )
        cubin = bytearray(_nvrtc(nvrtc.nvrtcGetCUBINSize(program)))
        _nvrtc(nvrtc.nvrtcGetCUBIN(program, cubin))
        ptx = bytearray(_nvrtc(nvrtc.nvrtcGetPTXSize(program)))
        _nvrtc(nvrtc.nvrtcGetPTX(program, ptx))
        symbols = tuple(_nvrtc(nvrtc.nvrtcGetLoweredName(program, name)).decode() for name in names)
        entries = _entries(ptx.decode())
        sizes = tuple(entries[symbol] for symbol in symbols)
        return Compiled(bytes(cubin), symbols, sizes, bytes(ptx).rstrip(b"\0"))
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _nvrtc(result: tuple[Any, ...]) -> Any:
    status, *values = result
    if status:
        raise KernelError("PK320", f"NVRTC answers {status.name}.")
    return values[0] if values else None


def _nvrtc_log(nvrtc: Any, program: Any) -> str:
    log = bytearray(_nvrtc(nvrtc.nvrtcGetProgramLogSize(program)))
    _nvrtc(nvrtc.nvrtcGetProgramLog(program, log))
    return log.rstrip(b"\0\n").decode(errors="replace")


def compile_numba(wanted: NumbaSpecialisation, arch: str) -> Compiled:
    """Compile a numba kernel and link it to machine code.

    Errors:
        PK302: the file does not hold the function.  PK321: numba cannot type or lower it.
        PK322: it uses what numba adds when it launches by itself, such as ``reshape``.
    """
    function = python_function(wanted.path, wanted.name)
    cuda = numba_cuda()
    capability = divmod(int(arch), 10)
    try:
        with _device_functions_for(capability):
            ptx, _ = cuda.compile_ptx(
                function, _numba_signature(wanted), cc=capability, device=False
            )
    except Exception as error:  # numba raises dozens of unrelated types; its text is the log
        raise_compile_error("PK321", str(wanted), f"sm_{arch}", str(error), error)
    ptx = _renumbered(ptx)
    ((symbol, sizes),) = _entries(ptx).items()
    return Compiled(_link(ptx, str(wanted), arch), (symbol,), (sizes,), ptx.encode())


def _renumbered(ptx: str) -> str:
    """Number the functions of numba's PTX from 1.

    numba counts what it compiles in a process, and puts that number into names. The same kernel
    must be the same code however many came before it.
    """
    numbers: dict[str, int] = {}

    def stable(match: re.Match[str]) -> str:
        tag = f"v{numbers.setdefault(match[1], len(numbers) + 1)}"
        return f"B{len(tag)}{tag}"

    return _NUMBA_COUNT.sub(stable, ptx)


def _entries(ptx: str) -> dict[str, tuple[int, ...]]:
    """Return the kernels in PTX, each with the bytes of its parameters."""
    return {
        name: tuple(int(bits) // 8 * int(n or 1) for bits, n in _PARAMETER.findall(declared))
        for name, declared in _ENTRY.findall(ptx)
    }


def _numba_signature(wanted: NumbaSpecialisation) -> tuple[Any, ...]:
    types = need("numba.types")
    signature = []
    for argument in wanted.types:
        element = types.boolean if argument.dtype == "bool" else getattr(types, argument.dtype)
        if argument.ndim is not None:
            signature.append(types.Array(element, argument.ndim, "C"))
        else:
            signature.append(
                element if argument.count == 1 else types.UniTuple(element, argument.count)
            )
    return tuple(signature)


@contextmanager
def _device_functions_for(capability: tuple[int, int]) -> Iterator[None]:
    """Let numba compile the device functions of a kernel without a GPU.

    For them numba takes the compute capability of the current device, not that of the kernel.
    """
    dispatcher = need("numba.cuda.dispatcher")
    device, thread = SimpleNamespace(compute_capability=capability), threading.get_ident()
    with _numba_lock:
        original = dispatcher.get_current_device
        dispatcher.get_current_device = lambda: (
            device if threading.get_ident() == thread else original()
        )
        try:
            yield
        finally:
            dispatcher.get_current_device = original


def _link(ptx: str, name: str, arch: str) -> bytes:
    nvjitlink = need("cuda.bindings.nvjitlink")
    linker = nvjitlink.create(1, [f"-arch=sm_{arch}"])
    try:
        image = ptx.encode() + b"\0"
        nvjitlink.add_data(linker, nvjitlink.InputType.PTX, image, len(image), "kernel.ptx")
        nvjitlink.complete(linker)
        cubin = bytearray(nvjitlink.get_linked_cubin_size(linker))
        nvjitlink.get_linked_cubin(linker, cubin)
        return bytes(cubin)
    except nvjitlink.nvJitLinkError as error:
        log = bytearray(nvjitlink.get_error_log_size(linker))
        nvjitlink.get_error_log(linker, log)
        text = log.rstrip(b"\0\n").decode(errors="replace") or str(error)
        raise_compile_error("PK322", name, f"sm_{arch}", text, error)
    finally:
        nvjitlink.destroy(linker)


def raise_compile_error(
    code: str, kernel: str, arch: str, log: str, error: BaseException | None = None
) -> NoReturn:
    """Raise the KernelError of a kernel that does not compile; its cause is the compiler's log."""
    raise KernelError(
        code,
        f"kernel '{kernel}' does not compile for {arch}.",
        cause=log,
        fix="correct the kernel's source; begin with the first error above.",
    ) from error


@cache
def python_function(path: Path, name: str) -> Callable[..., None]:
    """Return the undecorated numba kernel called ``name`` in the file ``path``.

    Errors:
        PK302: the file cannot be imported, or has no such function.
    """
    module = _module_from_file(path)
    function = getattr(module, name, None)
    if not inspect.isfunction(function):
        raise KernelError(
            "PK302",
            f"numba kernel '{name}' is {function!r}; expected a plain function.",
            where=str(path),
            fix="define it in that file, without @cuda.jit: pluginkit compiles it for the types "
            "of each launch.",
        )
    return function


@cache
def _module_from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_pluginkit_kernel_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise KernelError("PK302", f"kernel file '{path.name}' is no Python file.", where=str(path))
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the author's file may raise anything
        raise KernelError(
            "PK302", f"kernel file '{path.name}' cannot be imported: {error}.", where=str(path)
        ) from error
    return module
