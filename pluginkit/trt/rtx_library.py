"""Make TensorRT-RTX's ONNX parser find its own library.

At the first plugin lookup the parser calls ``dlopen("libtensorrt_rtx.so")``, but the wheel ships
only ``libtensorrt_rtx.so.1``; the lookup then fails and aborts the process. The loader accepts a
library that is already loaded under that SONAME. So this module loads, from memory, a library
without code whose SONAME is ``libtensorrt_rtx.so`` and which depends on ``libtensorrt_rtx.so.1``;
the loader finds the symbols in the dependency. Nothing is written to disk, and it does not matter
whether ``tensorrt_rtx`` was imported before.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

from pluginkit.errors import MissingDependencyError

_ELF_MACHINE = {"x86_64": 62, "aarch64": 183}
_DT_NULL, _DT_NEEDED, _DT_HASH, _DT_STRTAB, _DT_SYMTAB = 0, 1, 4, 5, 6
_DT_STRSZ, _DT_SYMENT, _DT_SONAME = 10, 11, 14
_PT_LOAD, _PT_DYNAMIC, _PT_GNU_STACK, _READ_WRITE, _ET_DYN = 1, 2, 0x6474E551, 6, 3
_HEADER, _PROGRAM_HEADER, _SYMBOL = 64, 56, 24


def load_alias(soname: str, needed: str) -> None:
    """Load an empty library called ``soname`` that depends on the loaded library ``needed``.

    Errors:
        PK201: the system's loader refuses it.
    """
    machine = _ELF_MACHINE.get(platform.machine())
    if machine is None:
        raise MissingDependencyError(
            "PK201",
            f"TensorRT-RTX's parser needs {soname}, which its wheel lacks on {platform.machine()}; "
            "expected x86_64 or aarch64.",
            fix=f"link {soname} to {needed} in a folder on LD_LIBRARY_PATH before Python starts.",
        )
    descriptor = os.memfd_create(soname)
    try:
        os.write(descriptor, alias_library(soname, needed, machine))
        # It stays open: the loader knows libraries by paths; no other file may get this one.
        ctypes.CDLL(f"/proc/self/fd/{descriptor}")
    except OSError as error:
        os.close(descriptor)
        raise MissingDependencyError(
            "PK201",
            f"TensorRT-RTX's parser needs {soname}, which its wheel lacks; a replacement does not "
            "load.",
            cause=str(error),
            fix=f"link {soname} to {needed} in a folder on LD_LIBRARY_PATH before Python starts.",
        ) from error


def alias_library(soname: str, needed: str, machine: int) -> bytes:
    """Return a 64-bit little-endian ELF library without code, given its SONAME and NEEDED.

    It says that it needs no executable stack: glibc 2.41 refuses a library that does not.
    """
    strings = b"\0" + soname.encode() + b"\0" + needed.encode() + b"\0"
    symbols = bytes(_SYMBOL)
    hash_table = struct.pack("<4I", 1, 1, 0, 0)

    symbols_at = _HEADER + 3 * _PROGRAM_HEADER
    hash_at = symbols_at + len(symbols)
    strings_at = hash_at + len(hash_table)
    dynamic_at = -(-(strings_at + len(strings)) // 16) * 16
    entries = (
        (_DT_NEEDED, 2 + len(soname)),
        (_DT_SONAME, 1),
        (_DT_HASH, hash_at),
        (_DT_STRTAB, strings_at),
        (_DT_SYMTAB, symbols_at),
        (_DT_STRSZ, len(strings)),
        (_DT_SYMENT, _SYMBOL),
        (_DT_NULL, 0),
    )
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    size = dynamic_at + len(dynamic)

    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        _ET_DYN, machine, 1, 0, _HEADER, 0, 0, _HEADER, _PROGRAM_HEADER, 3, 64, 0, 0,
    )  # fmt: skip
    load = struct.pack("<IIQQQQQQ", _PT_LOAD, _READ_WRITE, 0, 0, 0, size, size, 4096)
    dynamic_header = struct.pack(
        "<IIQQQQQQ",
        _PT_DYNAMIC,
        _READ_WRITE,
        dynamic_at,
        dynamic_at,
        dynamic_at,
        len(dynamic),
        len(dynamic),
        8,
    )
    stack = struct.pack("<IIQQQQQQ", _PT_GNU_STACK, _READ_WRITE, 0, 0, 0, 0, 0, 16)
    body = header + load + dynamic_header + stack + symbols + hash_table + strings
    return body.ljust(dynamic_at, b"\0") + dynamic
