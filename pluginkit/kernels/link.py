"""Link what numba compiles, with the CUDA C++ functions that it calls."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pluginkit.kernels.cuda_packages import need
from pluginkit.kernels.nvrtc import raise_compile_error

_EXTERNAL = re.compile(r"\.extern\s+\.func\b[^;]*?([\w$]+)\s*\([^()]*\)\s*;", re.DOTALL)
#: The functions that every driver has.
_OF_THE_DRIVER = {"vprintf", "malloc", "free", "__assertfail"}


def lacks_functions(ptx: str) -> bool:
    """Whether PTX calls functions that neither it nor the driver has."""
    return not {*_EXTERNAL.findall(ptx)} <= _OF_THE_DRIVER


def linked_code(ptx: str, name: str, arch: str) -> bytes:
    """Return the machine code of a kernel.

    Args:
        ptx: its PTX.
        name: its name, for errors.
        arch: the compute capability without its dot.

    Errors:
        PK322: nvJitLink cannot link it; its log is the cause.
    """
    return _linked("PTX", [ptx.encode() + b"\0"], name, arch, [])


def linked_ptx(ltoir: Sequence[bytes], name: str, arch: str) -> str:
    """Return the PTX of a kernel with the functions that it calls, from the LTO-IR of each.

    Errors:
        PK322: nvJitLink cannot link them; its log is the cause.
    """
    return _linked("LTOIR", ltoir, name, arch, ["-lto", "-ptx"]).rstrip(b"\0").decode()


def _linked(kind: str, inputs: Sequence[bytes], name: str, arch: str, more: Sequence[str]) -> bytes:
    nvjitlink = need("cuda.bindings.nvjitlink")
    options = [f"-arch=sm_{arch}", *more]
    linker, given = nvjitlink.create(len(options), options), getattr(nvjitlink.InputType, kind)
    try:
        for number, content in enumerate(inputs):
            title = f"kernel{number or ''}.{kind.lower()}"
            nvjitlink.add_data(linker, given, content, len(content), title)
        nvjitlink.complete(linker)
        what = "ptx" if "-ptx" in more else "cubin"
        image = bytearray(getattr(nvjitlink, f"get_linked_{what}_size")(linker))
        getattr(nvjitlink, f"get_linked_{what}")(linker, image)
        return bytes(image)
    except nvjitlink.nvJitLinkError as error:
        log = bytearray(nvjitlink.get_error_log_size(linker))
        nvjitlink.get_error_log(linker, log)
        text = log.rstrip(b"\0\n").decode(errors="replace") or str(error)
        raise_compile_error("PK322", name, f"sm_{arch}", text, error)
    finally:
        nvjitlink.destroy(linker)
