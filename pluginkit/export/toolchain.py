"""Builds plugin libraries with g++: the generated sources of some plugins, and the runtime.

Nothing else is needed: no CUDA, no TensorRT, no CMake. The same sources and options give the same
library, byte for byte.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pluginkit.errors import MissingDependencyError, UsageError

#: The sources that every library contains.
RUNTIME = Path(__file__).parent / "runtime"
#: What the check of an export adds: a way in, and a driver that records.
PROBE = RUNTIME / "recording" / "probe.cpp"
RECORDING_DRIVER = RUNTIME / "recording" / "driver.cpp"
#: What NVIDIA's headers need of CUDA's.
CUDA_STAND_IN = RUNTIME / "cuda"

#: The layout of TensorRT's interfaces that each target has; see tensorrt.h.
_LAYOUTS = {"8": 8, "10": 10, "11": 11, "rtx": 11}
_COMPILERS = {"x86_64": "x86_64-linux-gnu-g++", "aarch64": "aarch64-linux-gnu-g++"}
_COMPILE_FLAGS = (
    "-std=c++17",
    "-O2",
    "-fPIC",
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
)
_LINK_FLAGS = (
    "-shared",
    # The target's libstdc++ may be older than the compiler's, and a process may hold several.
    "-static-libstdc++",
    "-static-libgcc",
    # The entry points and nothing else: two libraries must not take each other's functions.
    f"-Wl,--version-script={RUNTIME / 'exports.map'}",
    "-Wl,--gc-sections",
    "-Wl,--build-id=none",
    "-Wl,-z,relro,-z,now,-z,noexecstack",
    "-Wl,-z,defs",
    "-s",
)


@dataclass(frozen=True)
class LibraryTarget:
    """What a library is built for.

    Attributes:
        layout: the layout of TensorRT's interfaces: 8, 10 or 11.
        interface: ``"v2"`` or ``"v3"``, for the plugins that can be either.
        registers_itself: whether plain dlopen registers the plugins; else loadLibrary does.
        machine: ``"x86_64"`` or ``"aarch64"``.
        tensorrt_include: the folder of NVIDIA's headers, None for pluginkit's own.
    """

    layout: int
    interface: str = "v3"
    registers_itself: bool = False
    machine: str = platform.machine()
    tensorrt_include: Path | None = None

    @property
    def compile_flags(self) -> list[str]:
        """What chooses it, as g++ takes it."""
        given = [
            f"-DPLUGINKIT_TENSORRT_MAJOR={self.layout}",
            f"-DPLUGINKIT_INTERFACE={self.interface.removeprefix('v')}",
        ]
        if self.registers_itself:
            given.append("-DPLUGINKIT_SELF_REGISTER")
        if self.tensorrt_include is not None:
            folders = self.tensorrt_include, CUDA_STAND_IN
            given += ["-DPLUGINKIT_TENSORRT_HEADERS", *(f"-isystem{each}" for each in folders)]
            given.append("-Wno-deprecated-declarations")  # IPluginV2DynamicExt is, since 10.0
        return given


def layout_of(tensorrt: str) -> int:
    """The layout of TensorRT's interfaces for ``"8.6"``, ``"10.3"``, ``"11"`` or ``"rtx"``.

    Errors:
        PK600: no layout is known.
    """
    layout = _LAYOUTS.get(tensorrt.partition(".")[0])
    if layout is None:
        raise UsageError(
            "PK600",
            f"TensorRT '{tensorrt}' is unknown; expected 8.6, 10.x, 11.x or rtx.",
            fix="write --tensorrt 10.3, say.",
        )
    return layout


def find_compiler(machine: str | None = None) -> str:
    """The g++ for a machine: CXX, where it is this one and CXX is set.

    Errors:
        PK700: there is none.
    """
    wanted = machine or platform.machine()
    candidates = [_COMPILERS.get(wanted, "")]
    if wanted == platform.machine():
        candidates = [os.environ.get("CXX", ""), "g++", *candidates]
    for candidate in candidates:
        found = shutil.which(candidate) if candidate else None
        if found is not None:
            return found
    package = f"g++-{wanted.replace('_', '-')}-linux-gnu"
    raise MissingDependencyError(
        "PK700",
        f"no C++ compiler for {wanted}; expected {' or '.join(filter(None, candidates))}.",
        fix=f"apt-get install {'g++' if wanted == platform.machine() else package}",
    )


def runtime_sources() -> list[Path]:
    """The runtime's C++ files."""
    return sorted(RUNTIME.glob("*.cpp"))


def build_library(
    output: Path, sources: Sequence[Path], target: LibraryTarget, flags: Sequence[str] = ()
) -> None:
    """Build a plugin library.

    Args:
        output: the library.
        sources: C++ files that define ``kPrograms``, beside the runtime's, which are added.
        target: what it is for.
        flags: more flags for the compiler and the linker.

    Errors:
        PK700: there is no compiler.  PK701: it does not compile.
    """
    compiler = find_compiler(target.machine)
    every = [*runtime_sources(), *sources]
    with tempfile.TemporaryDirectory() as folder:
        # One translation unit: the standard headers are read once instead of in every file.
        unit = Path(folder) / "library.cpp"
        unit.write_text("".join(f'#include "{file}"\n' for file in every), encoding="utf-8")
        maps = {folder: "", str(RUNTIME): "runtime"}
        maps |= {str(file.parent.resolve()): "generated" for file in sources}
        _run(
            [
                compiler,
                *_COMPILE_FLAGS,
                *target.compile_flags,
                f"-I{RUNTIME}",
                *(f"-ffile-prefix-map={old}={new}" for old, new in maps.items()),
                f"-frandom-seed={_digest(every)}",
                *flags,
                str(unit),
                *_LINK_FLAGS,
                "-o",
                str(output.resolve()),
                "-ldl",
            ],
            output.name,
        )


def build_recording_driver(output: Path) -> None:
    """Build the stand-in for libcuda.so.1; errors as for :func:`build_library`."""
    command = [find_compiler(), *_COMPILE_FLAGS, "-shared", str(RECORDING_DRIVER)]
    _run([*command, "-o", str(output)], output.name)


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _run(command: Sequence[str], subject: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # g++
    if done.returncode:
        raise MissingDependencyError(
            "PK701",
            f"{subject} does not compile: {command[0]} ended with {done.returncode}.",
            cause=done.stderr.strip()[-4000:],
            fix="report this with the compiler's version, or build it with another g++ (CXX).",
        )
