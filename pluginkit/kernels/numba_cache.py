"""Keep the machine code of numba kernels on disk; cupy does so for CUDA C++.

A file's name is the hash of everything that determines the machine code. Its first line has the
hash of the code, so that a damaged file is compiled again. Files are written atomically, so that
any number of processes can share the folder.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from contextlib import suppress
from pathlib import Path

from pluginkit.atomic_files import replace_file
from pluginkit.kernels.compile import Compiled, compile_numba
from pluginkit.kernels.specialise import NumbaSpecialisation

ENVIRONMENT_VARIABLE = "PLUGINKIT_CACHE"
_FORMAT = 1
_COMPILERS = ("numba", "numba-cuda", "llvmlite", "cuda-bindings", "nvidia-nvvm", "nvidia-nvjitlink")


def cache_folder() -> Path:
    """Return the folder of compiled kernels, PLUGINKIT_CACHE or one in the user's cache."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pluginkit"


def compiled_numba(wanted: NumbaSpecialisation, arch: str) -> Compiled:
    """Return the kernel's machine code, from the disk if it is there.

    A cache that cannot be read or written is ignored.

    Errors:
        PK302, PK310, PK321, PK322: as for compile_numba.
    """
    path = cache_folder() / f"{cache_key(wanted, arch)}.kernel"
    with suppress(OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return _from_bytes(path.read_bytes())
    compiled = compile_numba(wanted, arch)
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, _to_bytes(compiled))
    return compiled


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


def version(package: str) -> str:
    """The version of an installed package, "" where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _to_bytes(compiled: Compiled) -> bytes:
    header = {
        "sha256": hashlib.sha256(compiled.cubin).hexdigest(),
        "symbols": compiled.symbols,
        "parameter_sizes": compiled.parameter_sizes,
    }
    return json.dumps(header).encode() + b"\n" + compiled.cubin


def _from_bytes(content: bytes) -> Compiled:
    first, _, cubin = content.partition(b"\n")
    header = json.loads(first)
    if hashlib.sha256(cubin).hexdigest() != header["sha256"]:
        raise ValueError("damaged")
    sizes = tuple(tuple(map(int, each)) for each in header["parameter_sizes"])
    return Compiled(cubin, tuple(map(str, header["symbols"])), sizes)
