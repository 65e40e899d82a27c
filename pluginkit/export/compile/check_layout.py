"""Compare pluginkit's own header of TensorRT's plugin interface with NVIDIA's headers.

A library is compiled with pluginkit's header, so that no SDK is needed. The comparison covers
sizes, offsets, enumerators, and the order of virtual functions. NVIDIA publishes its headers in the
folder include of github.com/NVIDIA/TensorRT, with a tag for each version.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from pluginkit.current_work import scratch_prefix
from pluginkit.errors import ExportError, UsageError
from pluginkit.export.compile.compiler import find_compiler
from pluginkit.export.compile.library_builder import RUNTIME

_HEADERS = ("NvInferVersion.h", "NvInferRuntime.h", "NvInfer.h")
#: Newer headers define NV_TENSORRT_MAJOR as TRT_MAJOR_ENTERPRISE.
_MAJOR = re.compile(r"#define\s+(?:NV_TENSORRT_MAJOR|TRT_MAJOR_ENTERPRISE)\s+(\d+)")


def major_of_headers(include: Path) -> int:
    """Return the major version of a folder of NVIDIA's headers.

    Errors:
        PK815: the folder does not have them.
    """
    for name in _HEADERS:
        if not (include / name).is_file():
            raise UsageError(
                "PK815",
                f"{include} holds no {name}; expected the folder of TensorRT's headers.",
                fix="name the folder include of a TensorRT SDK, or of github.com/NVIDIA/TensorRT.",
            )
    found = _MAJOR.search((include / "NvInferVersion.h").read_text(encoding="utf-8"))
    if found is None:
        raise UsageError("PK815", f"{include}/NvInferVersion.h names no version of TensorRT.")
    return int(found[1])


def check_layout(include: Path, major: int) -> str:
    """Compare the header with NVIDIA's; return a sentence that says what was compared.

    Args:
        include: the folder of NVIDIA's headers.
        major: the layout of TensorRT's interfaces that a library is made for.

    Errors:
        PK805: there is no compiler.  PK815: the headers are missing, or of another version.
        PK816: they differ from pluginkit's.
    """
    include = include.resolve()
    found = major_of_headers(include)
    if found != major:
        raise UsageError(
            "PK815",
            f"{include} holds headers of TensorRT {found}; the library is for TensorRT {major}.",
            fix="name the headers of the TensorRT that --tensorrt names.",
        )
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("layout")) as folder:
        program = Path(folder) / "layout"
        command = [
            find_compiler().command,
            "-std=c++17",
            f"-DPLUGINKIT_TENSORRT_MAJOR={major}",
            "-DPLUGINKIT_TENSORRT_HEADERS",
            "-Wno-deprecated-declarations",
            f"-I{RUNTIME}",
            f"-isystem{include}",
            f"-isystem{RUNTIME / 'cuda'}",
            str(RUNTIME / "layout" / "layout.cpp"),
            "-o",
            str(program),
        ]
        for step in (command, [str(program)]):
            done = subprocess.run(step, capture_output=True, text=True, check=False)  # noqa: S603
            if done.returncode != 0:
                raise ExportError(
                    "PK816",
                    "pluginkit's header of TensorRT's plugin interface differs from the headers "
                    f"in {include}.",
                    cause=(done.stdout + done.stderr).strip(),
                    fix="report it, with the version: a library would not work with them.",
                )
        return done.stdout.strip()
