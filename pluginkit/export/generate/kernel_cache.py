"""Cache the kernels of libraries on disk, so that only the first export compiles them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pluginkit.kernels.compile import Compiled, compile_cuda, compile_numba, cuda_options
from pluginkit.kernels.disk_cache import kept_code, version
from pluginkit.kernels.numba_cache import cache_key
from pluginkit.kernels.specialise import (
    CudaSpecialisation,
    NumbaSpecialisation,
    Specialisation,
)

_FORMAT = 2
_COMPILERS = ("cupy-cuda12x", "cupy-cuda13x", "cuda-bindings", "nvidia-cuda-nvrtc")
_HEADERS = ("nvidia-cuda-runtime", "nvidia-cuda-crt", "nvidia-cuda-cccl")


def compiled_group(group: Sequence[Specialisation], capability: str) -> Compiled:
    """Return the machine code and PTX of kernels that are compiled together.

    Args:
        group: kernels of one CUDA source, or one numba kernel.
        capability: the compute capability without its dot.

    Errors:
        PK310, PK320 to PK322: as for ``compile_cuda`` and ``compile_numba``.
    """
    name = f"exported/{_key(group, capability)}.kernels"
    return kept_code(name, lambda: _compiled(group, capability))


def _compiled(group: Sequence[Specialisation], capability: str) -> Compiled:
    first = group[0]
    if isinstance(first, NumbaSpecialisation):
        return compile_numba(first, capability)
    return compile_cuda([one for one in group if isinstance(one, CudaSpecialisation)], capability)


def _key(group: Sequence[Specialisation], capability: str) -> str:
    digest = hashlib.sha256()
    for fact in (_FORMAT, capability, *map(version, (*_COMPILERS, *_HEADERS))):
        digest.update(repr(fact).encode() + b"\0")
    for one in group:
        facts = (
            (cache_key(one, capability),)
            if isinstance(one, NumbaSpecialisation)
            else (one.code, one.expression, cuda_options(one), one.file)
        )
        digest.update(repr(facts).encode() + b"\0")
    return digest.hexdigest()
