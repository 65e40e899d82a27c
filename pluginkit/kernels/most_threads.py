"""Say how many threads a block of a compiled kernel may have, from its machine code."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

_BLOCK_THREADS = 1024
_WARP_SIZE = 32
#: The registers of a block, for every compute capability from 7.5; a warp gets 256 at a time, and
#: warps get them four together, one for each part of a multiprocessor.
_BLOCK_REGISTERS = 65536
_REGISTER_UNIT = 256
_WARP_UNIT = 4

#: Where an ELF file has the offset of its section headers, and their size, number and names.
_HEADERS_AT, _HEADERS_SHAPE_AT = 0x28, 0x3A
_HEADER = struct.Struct("<IIQQQQIIQQ")
_SYMBOL_BYTES = 24
#: Attributes in the sections that begin with .nv.info: their format, number and size.
_ATTRIBUTE = struct.Struct("<BBH")
_SIZED = 4
_MAX_THREADS, _REQUIRED_THREADS, _REGISTERS = 0x05, 0x10, 0x2F


def most_threads(cubin: bytes, symbol: str) -> int:
    """Return the largest block with which a kernel can be launched.

    Its ``__launch_bounds__`` limit that, and the registers of each thread.

    Args:
        cubin: the ELF image.
        symbol: the kernel's mangled name.
    """
    sections = dict(_sections(cubin))
    names_at, names_bytes = sections[".strtab"]
    names = cubin[names_at : names_at + names_bytes]
    symbols_at, _ = sections[".symtab"]
    limit = _BLOCK_THREADS
    for attribute, values in _attributes(cubin, *sections.get(f".nv.info.{symbol}", (0, 0))):
        if attribute in (_MAX_THREADS, _REQUIRED_THREADS):
            limit = min(limit, math.prod(values))
    for attribute, values in _attributes(cubin, *sections.get(".nv.info", (0, 0))):
        if attribute == _REGISTERS:
            number, count = values
            (name_at,) = struct.unpack_from("<I", cubin, symbols_at + number * _SYMBOL_BYTES)
            if _text(names, name_at) == symbol:
                limit = min(limit, _with_registers(count))
    return limit


def _with_registers(count: int) -> int:
    of_warp = -(-max(count, 1) * _WARP_SIZE // _REGISTER_UNIT) * _REGISTER_UNIT
    return _BLOCK_REGISTERS // of_warp // _WARP_UNIT * _WARP_UNIT * _WARP_SIZE


def _sections(image: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the name of each section, and its offset and size."""
    (start,) = struct.unpack_from("<Q", image, _HEADERS_AT)
    size, count, of_names = struct.unpack_from("<HHH", image, _HEADERS_SHAPE_AT)
    headers = [_HEADER.unpack_from(image, start + size * index) for index in range(count)]
    at, length = headers[of_names][4:6]
    names = image[at : at + length]
    for header in headers:
        yield _text(names, header[0]), header[4:6]


def _attributes(image: bytes, at: int, size: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the number and the 32-bit words of each attribute that has a size."""
    end = at + size
    while at < end:
        form, number, length = _ATTRIBUTE.unpack_from(image, at)
        at += _ATTRIBUTE.size
        if form == _SIZED:
            yield number, struct.unpack_from(f"<{length // 4}I", image, at)
            at += length


def _text(table: bytes, at: int) -> str:
    return table[at : table.index(b"\0", at)].decode()
