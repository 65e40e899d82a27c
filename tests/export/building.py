"""Build the libraries and programs of the C++ tests, with all warnings and with sanitizers.

What all libraries for one layout share is one translation unit, compiled once for them; the entry
points and the plugins are others.
"""

import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

RUNTIME = Path(__file__).parents[2] / "pluginkit" / "export" / "runtime"
CPP = Path(__file__).parent / "cpp"
WARNINGS = ("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
ENTRY_POINTS = RUNTIME / "library.cpp"
#: As in an export: what a library leaves behind would show under AddressSanitizer.
OF_LIBRARIES = ("-fPIC", "-fvisibility=hidden", "-DPLUGINKIT_STATIC_LIBSTDCXX")
SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Target:
    """What to compile for.

    Attributes:
        layout: the layout of TensorRT's interfaces: 8, 10 or 11.
        interface: ``"v2"`` or ``"v3"``.
        registers_itself: whether plain dlopen registers the plugins; otherwise loadLibrary does.
        tensorrt_include: the folder of NVIDIA's headers; None for pluginkit's own.
        machine: ``"x86_64"`` or ``"aarch64"``.
        is_sanitized: whether to use AddressSanitizer and UndefinedBehaviorSanitizer.
        has_probe: whether the library has the probe, which an export uses for its comparison.
        renewed: how many plugins there are of Scale in version 2 and Gather; 0 for Scale and
            Gather as they were.
    """

    layout: int
    interface: str = "v3"
    registers_itself: bool = False
    tensorrt_include: Path | None = None
    machine: str = platform.machine()
    is_sanitized: bool = False
    has_probe: bool = False
    renewed: int = 0

    @property
    def name(self) -> str:
        """It as the name of a file."""
        digest = hashlib.sha256(repr(self).encode()).hexdigest()[:8]
        return f"{self.layout}_{self.interface}_{digest}"

    @property
    def shared(self) -> "Target":
        """What it has in common with others: all but the entry points and the probe."""
        return replace(self, interface="v3", registers_itself=False, has_probe=False, renewed=0)

    @property
    def compiler(self) -> str:
        """The g++ for the architecture."""
        if self.machine == platform.machine():
            return os.environ.get("CXX") or "g++"
        return f"{self.machine}-linux-gnu-g++"

    @property
    def flags(self) -> list[str]:
        """The options of g++ for this target."""
        number = self.interface.removeprefix("v")
        # Sanitizers make the optimiser slow, and find the same without it. Of the layouts, whose
        # code is alike, it goes through one: it warns of more than the front end does.
        given = [
            "-O1" if self.layout == 10 and not self.is_sanitized else "-O0",
            f"-I{RUNTIME}",
            f"-DPLUGINKIT_TENSORRT_MAJOR={self.layout}",
        ]
        given.append(f"-DPLUGINKIT_INTERFACE={number}")
        if self.renewed:
            given.append(f"-DSCALE_VERSION_2={self.renewed}")
        if self.registers_itself:
            given.append("-DPLUGINKIT_SELF_REGISTER")
        if self.tensorrt_include is not None:
            given += ["-DPLUGINKIT_TENSORRT_HEADERS", "-Wno-deprecated-declarations"]
            given += [f"-isystem{each}" for each in (self.tensorrt_include, RUNTIME / "cuda")]
        return given + list(SANITIZERS if self.is_sanitized else ())


def build_shared(output: Path, target: Target) -> None:
    """Compile what the libraries of cpp/programs.cpp for one layout share, to an object file."""
    sources = [each for each in sorted(RUNTIME.glob("*.cpp")) if each != ENTRY_POINTS]
    unit = output.with_suffix(".cpp")
    unit.write_text(
        "".join(f'#include "{source}"\n' for source in sources),
        encoding="utf-8",
    )
    options = [*WARNINGS, *target.shared.flags, *OF_LIBRARIES, "-c", str(unit)]
    _compile(target.compiler, options, output)


def build_library(output: Path, target: Target, shared: Path) -> None:
    """Build the library of cpp/programs.cpp.

    Args:
        output: the library.
        target: what it is for.
        shared: the object file that ``build_shared`` made for its ``shared``.
    """
    sources = [ENTRY_POINTS, CPP / "programs.cpp"]
    if target.has_probe:
        sources.append(RUNTIME / "recording" / "probe.cpp")
    options = [*OF_LIBRARIES, "-shared"]
    if not target.is_sanitized:
        options.append("-Wl,-z,defs")  # the sanitizers' functions are in the program
    if target.registers_itself:
        options.append("-Wl,-z,nodelete")
    options += ["-static-libstdc++", "-static-libgcc"]
    options.append(f"-Wl,--version-script={RUNTIME / 'exports.map'}")
    files = map(str, (*sources, shared))
    _compile(target.compiler, [*WARNINGS, *target.flags, *options, *files], output)


def build_program(output: Path, source: str, target: Target) -> None:
    """Build one of the programs in cpp/."""
    options = [*WARNINGS, *target.flags, str(CPP / source), "-pthread"]
    _compile(target.compiler, options, output)


def build_caller(output: Path, layout: int, *more: Path) -> None:
    """Build the C++ of tests/export/registry_caller.py, which calls plugins in a registry.

    Args:
        output: the library to write.
        layout: as in Target.
        more: further sources.
    """
    target = Target(layout)
    sources = [CPP / f"{name}.cpp" for name in ("registry_caller", "called_v2", "called_v3")]
    # No -Werror: it is also compiled on machines with a GPU, with whatever g++ they have.
    options = ["-std=c++17", *target.flags, "-O2", "-fPIC", "-shared", f"-I{CPP}"]
    _compile(target.compiler, [*options, *map(str, (*sources, *more))], output)


def build_recording_driver(output: Path, machine: str = platform.machine()) -> None:
    """Build the recording driver, a double for libcuda.so.1."""
    build_plain_library(output, RUNTIME / "recording" / "driver.cpp", machine)


def build_plain_library(output: Path, source: Path, machine: str = platform.machine()) -> None:
    """Build a library from a single file."""
    options = [*WARNINGS, "-O1", "-fPIC", "-shared", str(source)]
    _compile(Target(10, machine=machine).compiler, options, output)


def drive(
    program: Path, library: Path, driver: Path, what: str, emulator: Sequence[str] = ()
) -> str:
    """Run a program that acts as TensorRT; return its output."""
    done = subprocess.run(
        [*emulator, str(program), str(library), str(driver), what],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PLUGINKIT_CUDA_DRIVER": str(driver)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _compile(compiler: str, arguments: Sequence[str], output: Path) -> None:
    done = subprocess.run(
        [compiler, *arguments, "-o", str(output), "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
