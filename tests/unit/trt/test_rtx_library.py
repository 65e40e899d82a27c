"""The library without code that stands in for libtensorrt_rtx.so."""

import ctypes
import os
import platform
import struct
from pathlib import Path

import pytest

from pluginkit.trt.rtx_library import alias_library, load_alias

PT_GNU_STACK, EXECUTABLE = 0x6474E551, 1


def test_it_asks_for_no_executable_stack() -> None:
    library = alias_library("libone.so", "libtwo.so.1", 62)
    (start,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    headers = [struct.unpack_from("<II", library, start + size * at) for at in range(count)]
    flags = dict(headers)
    assert len(flags) == 3
    assert not flags[PT_GNU_STACK] & EXECUTABLE  # without the header glibc 2.41 refuses it


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="is made for x86_64 and aarch64"
)
def test_the_loader_takes_it_for_a_library_of_that_name() -> None:
    for name in ("libpluginkit_test_alias.so", "libpluginkit_another_alias.so"):
        load_alias(name, "libc.so.6")
        ctypes.CDLL(name, mode=os.RTLD_NOLOAD)  # raises unless it is loaded
        assert f"/memfd:{name}" in Path("/proc/self/maps").read_text()
