"""Keep the machine code of numba kernels on disk."""

from __future__ import annotations

import hashlib
import platform

from pluginkit.kernels.compile import Compiled, compile_numba
from pluginkit.kernels.disk_cache import kept_code, version
from pluginkit.kernels.specialise import NumbaSpecialisation

_FORMAT = 3
_COMPILERS = ("numba", "numba-cuda", "llvmlite", "cuda-bindings", "nvidia-nvvm", "nvidia-nvjitlink")


def compiled_numba(wanted: NumbaSpecialisation, arch: str) -> Compiled:
    """Return the kernel's machine code, from the disk if it is there.

    Errors:
        PK302, PK310, PK321, PK322: as for compile_numba.
    """
    return kept_code(f"{cache_key(wanted, arch)}.kernel", lambda: compile_numba(wanted, arch))


def cache_key(wanted: NumbaSpecialisation, arch: str) -> str:
    """Return the hash of everything that determines the machine code.

    That is the source, every Python file in its folder, the function, its types, the architecture,
    and the versions of Python and the compilers.
    """
    digest = hashlib.sha256()
    facts = [_FORMAT, platform.python_version(), wanted.name, str(wanted), arch]
    for part in [*facts, *map(version, _COMPILERS)]:
        digest.update(repr(part).encode())
    for source in sorted(wanted.path.parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()
