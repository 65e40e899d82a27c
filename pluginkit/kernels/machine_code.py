"""Machine code of kernels, compiled together and kept on disk.

The kernels of one CUDA C++ source are one program, because its headers may take longer than its
kernels, or several programs where there are processors to spare. Each processor compiles one.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cache

from pluginkit.errors import KernelError
from pluginkit.kernels.compile import Compiled, compile_cuda, cuda_options
from pluginkit.kernels.cuda_packages import need
from pluginkit.kernels.disk_cache import store_code, stored_code, version
from pluginkit.kernels.numba_cache import cache_key, compiled_numba
from pluginkit.kernels.specialise import CudaSpecialisation, NumbaSpecialisation, Specialisation

_FORMAT = 1
_COMPILERS = ("cupy-cuda12x", "cupy-cuda13x", "cuda-bindings", "nvidia-cuda-nvrtc")
_HEADERS = ("nvidia-cuda-runtime", "nvidia-cuda-crt", "nvidia-cuda-cccl")

#: The kernels of a program, or what is wrong with them.
Made = dict[CudaSpecialisation, Compiled | KernelError]
#: Kernels by their compute capability that are being compiled, or that nobody has asked for since.
_coming: dict[tuple[CudaSpecialisation, str], Future[Made]] = {}
_lock = threading.Lock()


def code_key(group: Sequence[Specialisation], arch: str) -> str:
    """Return the hash of everything that determines the machine code of kernels compiled together.

    Args:
        group: kernels of one CUDA source, or one numba kernel.
        arch: the compute capability without its dot.
    """
    digest = hashlib.sha256()
    for fact in (_FORMAT, arch, *map(version, (*_COMPILERS, *_HEADERS))):
        digest.update(repr(fact).encode() + b"\0")
    for one in group:
        facts = (
            (cache_key(one, arch),)
            if isinstance(one, NumbaSpecialisation)
            else (one.code, one.expression, cuda_options(one), one.file)
        )
        digest.update(repr(facts).encode() + b"\0")
    return digest.hexdigest()


def begin(wanted: Iterable[CudaSpecialisation], arch: str) -> None:
    """Begin to compile kernels that are not on the disk; :func:`machine_code` will wait for them.

    Args:
        wanted: the kernels.
        arch: the compute capability without its dot.
    """
    with _lock:
        _begin(wanted, arch)


def machine_code(wanted: Iterable[Specialisation], arch: str) -> dict[Specialisation, Compiled]:
    """Return the machine code of kernels, from the disk if it is there.

    Args:
        wanted: the kernels.
        arch: the compute capability without its dot.

    Returns:
        for each kernel its own symbol and parameters; kernels of one program share the image.

    Errors:
        PK302, PK310, PK320 to PK322: as for ``compile_cuda`` and ``compile_numba``.
    """
    every = dict.fromkeys(wanted)
    in_cuda = [one for one in every if isinstance(one, CudaSpecialisation)]
    with _lock:
        _begin(in_cuda, arch)
        coming = {one: _coming.pop((one, arch)) for one in in_cuda}
    found: dict[Specialisation, Compiled] = {}
    for one in every:
        if isinstance(one, NumbaSpecialisation):
            found[one] = compiled_numba(one, arch)
        else:
            code = coming[one].result()[one]
            if isinstance(code, KernelError):
                raise code
            found[one] = code
    return found


def _begin(wanted: Iterable[CudaSpecialisation], arch: str) -> None:
    missing: dict[CudaSpecialisation, list[CudaSpecialisation]] = {}
    for one in wanted:
        if (one, arch) in _coming:
            continue
        code = stored_code(_file(one, arch))
        if code is None:
            program = replace(one, expression="")  # what kernels of one program have in common
            missing.setdefault(program, []).append(one)
        else:
            future = _coming[one, arch] = Future()
            future.set_result({one: code})
    for kernels in missing.values():
        size = -(-len(kernels) * len(missing) // _processors())
        for group in (kernels[at : at + size] for at in range(0, len(kernels), size)):
            future = _threads().submit(_made, group, arch)
            _coming.update({(one, arch): future for one in group})


def _processors() -> int:
    return os.cpu_count() or 1


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_processors(), "pluginkit-compile")


def _forget() -> None:
    """Begin anew in a forked process, which has none of the threads."""
    global _lock
    _lock = threading.Lock()
    _coming.clear()
    _threads.cache_clear()


os.register_at_fork(after_in_child=_forget)


def _file(one: CudaSpecialisation, arch: str) -> str:
    return f"{code_key([one], arch)}.kernel"


def _made(group: Sequence[CudaSpecialisation], arch: str) -> Made:
    known = newest_known(arch)
    try:
        code = compile_cuda(group, known)
    except KernelError as error:
        if len(group) == 1:
            return {group[0]: error}
        # One by one, so that the error names the kernel at fault.
        return {one: code for each in group for one, code in _made([each], arch).items()}
    image = code.cubin if known == arch else code.ptx + b"\0"  # the driver compiles PTX
    made: Made = {}
    for one, symbol, sizes in zip(group, code.symbols, code.parameter_sizes, strict=True):
        made[one] = own = Compiled(image, (symbol,), (sizes,))
        store_code(_file(one, arch), own)
    return made


def newest_known(arch: str) -> str:
    """Return the newest compute capability up to ``arch`` for which NVRTC makes machine code."""
    _, *answer = need("cuda.bindings.nvrtc").nvrtcGetSupportedArchs()
    known = [number for number in answer[-1] if number <= int(arch)] if answer else []
    return str(max(known, default=int(arch)))
