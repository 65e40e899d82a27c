"""Compares pluginkit's own header of TensorRT's plugin interface with NVIDIA's headers.

    python tests/export/check_layout.py --tensorrt-include TensorRT/include

First sizes, offsets, numbers and the order of virtual functions are compared; then a library that
was built with one header is driven, through a plugin's whole life, by a program that was built with
the other. NVIDIA publishes the headers in github.com/NVIDIA/TensorRT, one tag for each version.
Needs g++, and neither TensorRT, CUDA nor a GPU.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from pluginkit.export.toolchain import (
    CUDA_STAND_IN,
    RUNTIME,
    LibraryTarget,
    build_library,
    build_recording_driver,
    find_compiler,
)

SOURCES = Path(__file__).parent / "cpp"
WARNINGS = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-O1")


def major_of(include: Path) -> int:
    """The major version of a folder of NVIDIA's headers."""
    text = (include / "NvInferVersion.h").read_text(encoding="utf-8")
    # Newer headers define NV_TENSORRT_MAJOR by way of TRT_MAJOR_ENTERPRISE.
    found = re.search(r"#define\s+(?:NV_TENSORRT_MAJOR|TRT_MAJOR_ENTERPRISE)\s+(\d+)", text)
    if found is None:
        raise SystemExit(f"{include}/NvInferVersion.h names no version")
    return int(found[1])


def compile_program(source: str, output: Path, *flags: str) -> None:
    """Compile one of the C++ programs beside this file."""
    command = [find_compiler(), *WARNINGS, *flags, f"-I{RUNTIME}", str(SOURCES / source)]
    subprocess.run([*command, "-o", str(output), "-ldl", "-pthread"], check=True)


def compare_layout(include: Path, folder: Path) -> None:
    """Compile the static assertions, and compare the tables of virtual functions."""
    program = folder / "layout"
    headers = [f"-isystem{each}" for each in (include, CUDA_STAND_IN)]
    compile_program(
        "layout.cpp", program, f"-DPLUGINKIT_TENSORRT_MAJOR={major_of(include)}", *headers
    )
    subprocess.run([str(program)], check=True)


def call_through_both(include: Path, folder: Path, interface: str) -> None:
    """Drive a library built with one header by a program built with the other."""
    own = LibraryTarget(major_of(include), interface)
    theirs = replace(own, tensorrt_include=include)
    driver = folder / "librecording.so"
    build_recording_driver(driver)
    for number, (of_library, of_program) in enumerate([(own, theirs), (theirs, own)]):
        library, program = folder / f"lib{interface}{number}.so", folder / f"drive{number}"
        build_library(library, [SOURCES / "programs.cpp"], of_library, ("-O1", "-Werror"))
        compile_program(f"drive_{interface}.cpp", program, *of_program.compile_flags)
        subprocess.run(
            [str(program), str(library), str(driver), "cycle"],
            check=True,
            env={**os.environ, "PLUGINKIT_CUDA_DRIVER": str(driver)},
        )
        names = ["pluginkit's" if each is own else "NVIDIA's" for each in (of_library, of_program)]
        print(f"{interface}: a library with {names[0]} header, a program with {names[1]}: works")


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tensorrt-include", type=Path, required=True, metavar="DIR")
    include = parser.parse_args().tensorrt_include.resolve()
    with tempfile.TemporaryDirectory() as folder:
        compare_layout(include, Path(folder))
        for interface in ("v2",) if major_of(include) == 8 else ("v2", "v3"):
            call_through_both(include, Path(folder), interface)
    return 0


if __name__ == "__main__":
    sys.exit(main())
