"""Compare pluginkit's own header of TensorRT's plugin interface with NVIDIA's headers.

    python -m tests.export.check_layout --tensorrt-include TensorRT/include

First it compares sizes, offsets, numbers and the order of virtual functions. Then a program that
was built with one header calls all callbacks of a plugin in a library that was built with the
other. NVIDIA publishes the headers in github.com/NVIDIA/TensorRT, one tag for each version. Needs
g++, and neither TensorRT, CUDA nor a GPU.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from pluginkit.export.compile.check_layout import check_layout, major_of_headers
from tests.export.building import (
    Target,
    build_library,
    build_program,
    build_recording_driver,
    build_shared,
    drive,
)


def call_through_both(include: Path, folder: Path, interface: str) -> None:
    """Drive a library built with one header by a program built with the other."""
    own = Target(major_of_headers(include), interface)
    theirs = replace(own, tensorrt_include=include)
    driver = folder / "librecording.so"
    build_recording_driver(driver)
    for of_library, of_program in (own, theirs), (theirs, own):
        library, program = folder / "libplugins.so", folder / "drive"
        build_shared(folder / "shared.o", of_library)
        build_library(library, of_library, folder / "shared.o")
        build_program(program, f"drive_{interface}.cpp", of_program)
        drive(program, library, driver, "cycle")
        names = ["pluginkit's" if each is own else "NVIDIA's" for each in (of_library, of_program)]
        said = f"a library with {names[0]} header, a program with {names[1]}: works"
        sys.stdout.write(f"{interface}: {said}\n")


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tensorrt-include", type=Path, required=True, metavar="DIR")
    include = parser.parse_args().tensorrt_include.resolve()
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(check_layout(include, major_of_headers(include)) + "\n")
        for interface in ("v2",) if major_of_headers(include) == 8 else ("v2", "v3"):
            call_through_both(include, Path(folder), interface)
    return 0


if __name__ == "__main__":
    sys.exit(main())
