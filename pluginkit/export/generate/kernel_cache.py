"""Keep the kernels of libraries on disk, so that only the first export compiles them.

A file's name is the hash of everything that determines machine code and PTX; its first line has
their hash, so that a damaged file is compiled again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress

from pluginkit.atomic_files import replace_file
from pluginkit.kernels.compile import Compiled, compile_cuda, compile_numba, cuda_options
from pluginkit.kernels.numba_cache import cache_folder, cache_key, version
from pluginkit.kernels.specialise import (
    CudaSpecialisation,
    NumbaSpecialisation,
    Specialisation,
)

_FORMAT = 1
_COMPILERS = ("cupy-cuda12x", "cupy-cuda13x", "cuda-bindings", "nvidia-cuda-nvrtc")
_HEADERS = ("nvidia-cuda-runtime", "nvidia-cuda-crt", "nvidia-cuda-cccl")


def compiled_group(group: Sequence[Specialisation], capability: str) -> Compiled:
    """Return the machine code and PTX of kernels that are compiled together.

    A cache that cannot be read or written is ignored.

    Args:
        group: kernels of one CUDA source, or one numba kernel.
        capability: the compute capability without its dot.

    Errors:
        PK310, PK320 to PK322: as for ``compile_cuda`` and ``compile_numba``.
    """
    path = cache_folder() / "exported" / f"{_key(group, capability)}.kernels"
    with suppress(OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return _from_bytes(path.read_bytes())
    compiled = _compiled(group, capability)
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, _to_bytes(compiled))
    return compiled


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


def _to_bytes(compiled: Compiled) -> bytes:
    content = compiled.cubin + compiled.ptx
    header = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "cubin": len(compiled.cubin),
        "symbols": compiled.symbols,
        "parameter_sizes": compiled.parameter_sizes,
    }
    return json.dumps(header).encode() + b"\n" + content


def _from_bytes(content: bytes) -> Compiled:
    first, _, code = content.partition(b"\n")
    header = json.loads(first)
    if hashlib.sha256(code).hexdigest() != header["sha256"]:
        raise ValueError("damaged")
    sizes = tuple(tuple(map(int, each)) for each in header["parameter_sizes"])
    length = int(header["cubin"])
    return Compiled(code[:length], tuple(map(str, header["symbols"])), sizes, code[length:])
