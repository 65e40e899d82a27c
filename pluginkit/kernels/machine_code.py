"""Machine code of all kernels of a call, compiled together and kept on disk.

The kernels of one CUDA C++ source are one program, because its headers take longer than its
kernels. Programs are compiled in threads, as many as there are processors.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pluginkit.errors import KernelError
from pluginkit.kernels.compile import Compiled, compile_cuda, cuda_options
from pluginkit.kernels.cuda_packages import need
from pluginkit.kernels.disk_cache import store_code, stored_code, version
from pluginkit.kernels.numba_cache import cache_key, compiled_numba
from pluginkit.kernels.specialise import CudaSpecialisation, NumbaSpecialisation, Specialisation

_FORMAT = 1
_COMPILERS = ("cupy-cuda12x", "cupy-cuda13x", "cuda-bindings", "nvidia-cuda-nvrtc")
_HEADERS = ("nvidia-cuda-runtime", "nvidia-cuda-crt", "nvidia-cuda-cccl")


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
    found: dict[Specialisation, Compiled] = {}
    missing: dict[CudaSpecialisation, list[CudaSpecialisation]] = {}
    for one in dict.fromkeys(wanted):
        if isinstance(one, NumbaSpecialisation):
            found[one] = compiled_numba(one, arch)
            continue
        code = stored_code(_file(one, arch))
        if code is None:
            program = replace(one, expression="")  # what kernels of one program have in common
            missing.setdefault(program, []).append(one)
        else:
            found[one] = code
    if missing:
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for made in threads.map(lambda group: _made(group, arch), missing.values()):
                found |= made
    return found


def _file(one: CudaSpecialisation, arch: str) -> str:
    return f"{code_key([one], arch)}.kernel"


def _made(group: Sequence[CudaSpecialisation], arch: str) -> dict[Specialisation, Compiled]:
    known = newest_known(arch)
    try:
        code = compile_cuda(group, known)
    except KernelError:
        if len(group) == 1:
            raise
        # One by one, so that the error names the kernel at fault.
        return {one: code for each in group for one, code in _made([each], arch).items()}
    image = code.cubin if known == arch else code.ptx + b"\0"  # the driver compiles PTX
    made: dict[Specialisation, Compiled] = {}
    for one, symbol, sizes in zip(group, code.symbols, code.parameter_sizes, strict=True):
        made[one] = Compiled(image, (symbol,), (sizes,))
        store_code(_file(one, arch), made[one])
    return made


def newest_known(arch: str) -> str:
    """Return the newest compute capability up to ``arch`` for which NVRTC makes machine code."""
    _, *answer = need("cuda.bindings.nvrtc").nvrtcGetSupportedArchs()
    known = [number for number in answer[-1] if number <= int(arch)] if answer else []
    return str(max(known, default=int(arch)))
