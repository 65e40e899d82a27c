"""Compiled code that is made once and kept on disk.

The first line of a file has the hash of the rest, so that a damaged file is made again. Files are
written atomically, so that any number of processes can share the folder.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from pluginkit.atomic_files import replace_file
from pluginkit.kernels.compile import Compiled

ENVIRONMENT_VARIABLE = "PLUGINKIT_CACHE"


def cache_folder() -> Path:
    """Return the folder of compiled kernels, PLUGINKIT_CACHE or one in the user's cache."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pluginkit"


@cache
def version(package: str) -> str:
    """Return the version of an installed package, "" where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def stored(name: str) -> bytes | None:
    """Return the content of a file of the cache, None where it is missing or damaged.

    Args:
        name: the file's path in the cache, which follows from all that determines its content.
    """
    with suppress(OSError):
        digest, _, content = (cache_folder() / name).read_bytes().partition(b"\n")
        if digest == _hash(content):
            return content
    return None


def store(name: str, content: bytes) -> None:
    """Write a file of the cache; a cache that cannot be written is left alone."""
    path = cache_folder() / name
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, _hash(content) + b"\n" + content)


def kept(name: str, make: Callable[[], bytes]) -> bytes:
    """Return the content of a file of the cache, which is made if it is missing or damaged."""
    content = stored(name)
    if content is None:
        content = make()
        store(name, content)
    return content


def stored_code(name: str) -> Compiled | None:
    """Return machine code with its PTX, as :func:`stored` returns bytes."""
    content = stored(name)
    return None if content is None else _code_from_bytes(content)


def store_code(name: str, code: Compiled) -> None:
    """Write machine code with its PTX, as :func:`store` writes bytes."""
    store(name, _bytes_from_code(code))


def kept_code(name: str, make: Callable[[], Compiled]) -> Compiled:
    """Return machine code with its PTX, as :func:`kept` returns bytes."""
    return _code_from_bytes(kept(name, lambda: _bytes_from_code(make())))


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _bytes_from_code(compiled: Compiled) -> bytes:
    header = {
        "cubin": len(compiled.cubin),
        "symbols": compiled.symbols,
        "parameter_sizes": compiled.parameter_sizes,
    }
    return json.dumps(header).encode() + b"\n" + compiled.cubin + compiled.ptx


def _code_from_bytes(content: bytes) -> Compiled:
    first, _, code = content.partition(b"\n")
    header = json.loads(first)
    sizes = tuple(tuple(each) for each in header["parameter_sizes"])
    length = header["cubin"]
    return Compiled(code[:length], tuple(header["symbols"]), sizes, code[length:])
