"""NVRTC: CUDA C++ to PTX and machine code, on any machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pluginkit.errors import KernelError
from pluginkit.kernels.cuda_packages import need

_ENTRY = re.compile(r"\.entry\s+([\w$]+)\s*\(([^)]*)\)")
_PARAMETER = re.compile(r"\.param\s+(?:\.align\s+\d+\s+)?\.[a-z](\d+)[^,\[]*(?:\[(\d+)\])?")

#: A header of the host's C or C++ library in a log. NVRTC has none of them.
_HOST_HEADER = re.compile(
    r'cannot open source file "([a-z_]+|(?:assert|float|limits|math|std\w+|string)\.h)"'
)

#: The headers of CUDA that declare types which NVRTC does not know by itself.
_HEADERS = {"__half": "cuda_fp16.h", "half": "cuda_fp16.h", "__nv_bfloat16": "cuda_bf16.h"}


@dataclass(frozen=True)
class NvrtcProgram:
    """A compiled program.

    Attributes:
        handle: the ``nvrtcProgram``.
    """

    handle: Any

    def ptx(self) -> str:
        """Return its PTX."""
        nvrtc = need("cuda.bindings.nvrtc")
        ptx = bytearray(_answer(nvrtc.nvrtcGetPTXSize(self.handle)))
        _answer(nvrtc.nvrtcGetPTX(self.handle, ptx))
        return ptx.rstrip(b"\0").decode()

    def cubin(self) -> bytes:
        """Return its machine code, which it has if a real architecture was named."""
        nvrtc = need("cuda.bindings.nvrtc")
        cubin = bytearray(_answer(nvrtc.nvrtcGetCUBINSize(self.handle)))
        _answer(nvrtc.nvrtcGetCUBIN(self.handle, cubin))
        return bytes(cubin)

    def symbol(self, expression: str) -> str:
        """Return the mangled name of the kernel with this name expression."""
        nvrtc = need("cuda.bindings.nvrtc")
        name: bytes = _answer(nvrtc.nvrtcGetLoweredName(self.handle, expression.encode()))
        return name.decode()


@contextmanager
def compiled_program(
    code: str,
    file: str,
    expressions: Sequence[str],
    options: Sequence[str],
    arch: str,
    *,
    path: str = "",
    line: int = 1,
) -> Iterator[NvrtcProgram]:
    """Compile CUDA C++; the program is gone at the end of the body.

    Args:
        code: the source.
        file: what the compiler calls the source.
        expressions: the name expressions of the kernels that are wanted.
        options: NVRTC's, without the architecture.
        arch: ``"sm_90"`` for machine code and PTX, ``"compute_90"`` for PTX alone.
        path: the author's file, which the log of an error names; ``file`` unless given.
        line: the line of that file on which the source begins.

    Errors:
        PK320: NVRTC refuses the source; the log is the cause.
    """
    nvrtc = need("cuda.bindings.nvrtc")
    encoded = [option.encode() for option in (f"--gpu-architecture={arch}", *options)]
    handle = _answer(nvrtc.nvrtcCreateProgram(code.encode(), file.encode(), 0, [], []))
    try:
        for expression in expressions:
            _answer(nvrtc.nvrtcAddNameExpression(handle, expression.encode()))
        (status,) = nvrtc.nvrtcCompileProgram(handle, len(encoded), encoded)
        if status:
            names = {file, Path(path or file).name}
            log = with_author_lines(_log(nvrtc, handle), names, path or file, line)
            raise_compile_error("PK320", ", ".join(expressions), arch, log)
        yield NvrtcProgram(handle)
    finally:
        nvrtc.nvrtcDestroyProgram(handle)


def entries(ptx: str) -> dict[str, tuple[int, ...]]:
    """Return the kernels in PTX, each with the bytes of its parameters."""
    return {
        name: tuple(int(bits) // 8 * int(n or 1) for bits, n in _PARAMETER.findall(declared))
        for name, declared in _ENTRY.findall(ptx)
    }


def raise_compile_error(
    code: str, kernel: str, arch: str, log: str, error: BaseException | None = None
) -> NoReturn:
    """Raise the KernelError of a kernel that does not compile; its cause is the compiler's log."""
    first = "correct the kernel's source; begin with the first error above."
    raise KernelError(
        code,
        f"kernel '{kernel}' does not compile for {arch}.",
        cause=log,
        fix=_missing_header(log) or first,
    ) from error


def with_author_lines(log: str, names: Iterable[str], path: str, line: int) -> str:
    """Replace the names by which the compiler knows a source, by the author's file and lines.

    Args:
        log: the compiler's.
        names: what the compiler calls the source.
        path: the author's file.
        line: the line of that file on which the source begins.
    """
    known = "|".join(map(re.escape, names))

    def in_file(found: re.Match[str]) -> str:
        return path if found[1] is None else f"{path}({int(found[1]) + line - 1})"

    return re.sub(rf'(?<![\w./])(?:{known})(?:\((\d+)\)|(?=[("]))', in_file, log)


def _missing_header(log: str) -> str | None:
    """Say which headers a log misses, and what to do about it; return None if it misses none."""
    of_host = _HOST_HEADER.search(log)
    if of_host is not None:
        return (
            f"remove #include <{of_host[1]}>, a header of the host: NVRTC itself declares printf, "
            "assert and the functions of math.h; <cuda/std/...> has cstdint, limits and others."
        )
    if 'cannot open source file "crt/' in log:
        return "run pip install nvidia-cuda-crt, which has this header."
    missing: dict[str, str] = {}
    for name, header in _HEADERS.items():
        if f'identifier "{name}" is undefined' in log:
            missing.setdefault(header, name)
    if not missing:
        return None
    lines = " and ".join(f"#include <{header}>" for header in missing)
    declared = " and ".join(missing.values())
    verb = "it declares" if len(missing) == 1 else "they declare"
    return f"write {lines} in the kernel's source: {verb} {declared}."


def _answer(result: tuple[Any, ...]) -> Any:
    status, *values = result
    if status:
        raise KernelError("PK320", f"NVRTC answers {status.name}.")
    return values[0] if values else None


def _log(nvrtc: Any, handle: Any) -> str:
    log = bytearray(_answer(nvrtc.nvrtcGetProgramLogSize(handle)))
    _answer(nvrtc.nvrtcGetProgramLog(handle, log))
    return log.rstrip(b"\0\n").decode(errors="replace")
