"""Kernels as PTX, for the machine of :mod:`pluginkit.ptx`: compiled once, then kept on disk.

A file's name is the hash of everything that the PTX follows from. Kernels of one CUDA C++ source
that are asked for together share a file, which compiles ten times as fast as one by one.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pluginkit.kernels.compile import cuda_options, numba_ptx
from pluginkit.kernels.disk_cache import kept, version
from pluginkit.kernels.numba_cache import cache_key
from pluginkit.kernels.nvrtc import compiled_program, entries
from pluginkit.kernels.specialise import CudaSpecialisation, NumbaSpecialisation, Specialisation

#: The compute capability that kernels are compiled for, with all that recent GPUs have.
ARCHITECTURE = "90"

_FORMAT = 2
_COMPILERS = ("cuda-bindings", "nvidia-cuda-nvrtc", "cupy-cuda13x")  # the last one brings CCCL

_known: dict[Specialisation, PtxCode] = {}
_seconds = 0.0


@dataclass(frozen=True)
class PtxCode:
    """A kernel in PTX.

    Attributes:
        text: the module, perhaps with other kernels.
        symbol: the kernel's name in it.
        parameter_sizes: the bytes of each parameter.
    """

    text: str
    symbol: str
    parameter_sizes: tuple[int, ...]


def ptx_code(wanted: Specialisation) -> PtxCode:
    """Return one kernel's PTX.

    Errors:
        PK302, PK310, PK320, PK321.
    """
    compile_ahead([wanted])
    return _known[wanted]


def put(wanted: Specialisation, code: PtxCode) -> None:
    """Use this code from now on in place of the compiler's, in this process."""
    _known[wanted] = code


def seconds_compiling() -> float:
    """Return the processor time that this process has spent on compiling and reading PTX."""
    return _seconds


def compile_ahead(wanted: Iterable[Specialisation]) -> None:
    """Compile what is not known yet, all kernels of one CUDA C++ source together.

    Errors:
        as for :func:`ptx_code`.
    """
    global _seconds
    started = time.process_time()
    try:
        _compile(wanted)
    finally:
        _seconds += time.process_time() - started


def _compile(wanted: Iterable[Specialisation]) -> None:
    sources: dict[tuple[object, ...], list[CudaSpecialisation]] = {}
    for one in dict.fromkeys(wanted):
        if one in _known:
            continue
        if isinstance(one, CudaSpecialisation):
            sources.setdefault((one.code, one.options, one.folder), []).append(one)
        else:
            _know([one], cache_key(one, ARCHITECTURE), partial(_numba_text, one))
    for group in sources.values():
        _know(group, _cuda_key(group), partial(_cuda_text, group))


def _know(group: Sequence[Specialisation], key: str, make: Callable[[], str]) -> None:
    text = kept(f"{key}.ptx", lambda: make().encode()).decode()
    first, _, ptx = text.partition("\n")
    symbols = json.loads(first)
    sizes = entries(ptx)
    for one, symbol in zip(group, symbols, strict=True):
        _known[one] = PtxCode(ptx, symbol, sizes[symbol])


def _cuda_text(group: Sequence[CudaSpecialisation]) -> str:
    first = group[0]
    expressions = [one.expression for one in group]
    options = ("-ftz=true", "-lineinfo", *cuda_options(first))
    name = first.file if first.line == 1 else "kernel.cu"
    code = first.code
    if first.line > 1:  # the source is text in a Python file, whose lines the log and PTX count
        begin = f'#line {first.line} "{name}"\n'
        code = code.replace(f'#line 1 "{name}"\n', begin) if '#line 1 "' in code else begin + code
    with compiled_program(
        code, name, expressions, options, f"compute_{ARCHITECTURE}", path=first.file
    ) as program:
        # NVRTC puts the current folder before a name that has none, such as a #line directive's.
        ptx = program.ptx()
        for local in (Path.cwd() / Path(first.file).name, Path.cwd() / name, name):
            ptx = ptx.replace(f'"{local}"', f'"{first.file}"')
        return json.dumps([*map(program.symbol, expressions)]) + "\n" + ptx


def _numba_text(one: NumbaSpecialisation) -> str:
    ptx = numba_ptx(one, ARCHITECTURE, lineinfo=True)
    return json.dumps(list(entries(ptx))) + "\n" + ptx


def _cuda_key(group: Sequence[CudaSpecialisation]) -> str:
    first = group[0]
    expressions = [one.expression for one in group]
    facts = [
        _FORMAT,
        ARCHITECTURE,
        first.code,
        first.file,
        first.line,
        first.options,
        str(first.folder),
    ]
    digest = hashlib.sha256()
    for part in [*facts, expressions, *map(version, _COMPILERS)]:
        digest.update(repr(part).encode())
    return digest.hexdigest()
