"""Compile kernels for a given architecture; needs no GPU.

NVRTC compiles CUDA C++ with the options that cupy would give it; numba-cuda and nvJitLink compile
numba kernels.
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
from typing import TYPE_CHECKING, Any

from pluginkit.contract import calls
from pluginkit.contract.launches import Launch
from pluginkit.contract.tensors import TensorDesc
from pluginkit.errors import KernelError
from pluginkit.kernels.arguments import check_parameters, parameters
from pluginkit.kernels.cuda_packages import need, numba_cuda
from pluginkit.kernels.link import lacks_functions, linked_code, linked_ptx
from pluginkit.kernels.nvrtc import compiled_program, entries, raise_compile_error
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

#: In a name that numba mangled, the tag that tells the functions of one name apart.
_NUMBA_COUNT = re.compile(r"B\d+v(\d+)(?=B)")
#: The first NVRTC that was seen to take the seed of the names that it invents: with the same seed,
#: the same source gives the same machine code.
_WITH_SEED = (13, 5)

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
    first = wanted[0]
    expressions = [each.expression for each in wanted]
    options = ("-ftz=true", *_seed(), *cuda_options(first))  # cupy flushes denormals, too
    # Machine code is the same wherever the source lies, so the compiler gets no path.
    with compiled_program(
        first.code,
        "kernel.cu",
        expressions,
        options,
        f"sm_{arch}",
        path=first.file,
        line=first.line,
    ) as program:
        symbols = tuple(map(program.symbol, expressions))
        ptx = program.ptx()
        sizes = entries(ptx)
        return Compiled(
            program.cubin(), symbols, tuple(sizes[symbol] for symbol in symbols), ptx.encode()
        )


def _seed() -> tuple[str, ...]:
    """Return the option that makes NVRTC invent the same names in every process."""
    version = need("cuda.bindings.nvrtc").nvrtcVersion()[1:]
    return ("--frandom-seed=0",) if version >= _WITH_SEED else ()


def compile_numba(wanted: NumbaSpecialisation, arch: str) -> Compiled:
    """Compile a numba kernel and link it to machine code.

    Errors:
        PK302: the file does not hold the function.  PK321: numba cannot type or lower it.
        PK322: it calls a function that nothing defines.
    """
    ptx = numba_ptx(wanted, arch)
    ((symbol, sizes),) = entries(ptx).items()
    return Compiled(linked_code(ptx, str(wanted), arch), (symbol,), (sizes,), ptx.encode())


def numba_ptx(wanted: NumbaSpecialisation, arch: str, *, lineinfo: bool = False) -> str:
    """Return a numba kernel's PTX, which says its source lines where ``lineinfo`` is set.

    The CUDA C++ functions that numba calls, those of float16 for example, are inlined in it; it
    then says no lines, since nvJitLink cannot merge numba's with those of CUDA C++.

    Errors:
        PK302, PK321, PK322: as for :func:`compile_numba`.
    """
    function, cuda = python_function(wanted.path, wanted.name), numba_cuda()
    capability = divmod(int(arch), 10)
    codes: list[Any] = []
    try:
        with _device_functions_for(capability):
            given = (function, _numba_signature(wanted))
            how = {"cc": capability, "device": False, "abi": "numba"}
            ptx, _ = cuda.compile(*given, **how, output="ptx")
            if lacks_functions(ptx):
                codes, _ = cuda.compile_all(*given, **how, output="ltoir")
            elif lineinfo:
                ptx, _ = cuda.compile(*given, **how, output="ptx", lineinfo=True)
    except Exception as error:  # numba raises dozens of unrelated types; its text is the log
        log = str(error)
        if wanted.path.name not in log:  # of some errors numba does not know the line
            line = f"{wanted.path}:{function.__code__.co_firstlineno}, in {wanted.name}"
            log = f"{line}\n{log}"
        raise_compile_error("PK321", str(wanted), f"sm_{arch}", log, error)
    if len(codes) > 1:  # what others define is an object with the code
        ltoir = [getattr(each, "code", each) for each in codes]
        ptx = linked_ptx(ltoir, str(wanted), arch)
    return _renumbered(str(ptx))


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
