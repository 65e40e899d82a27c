"""Kernels that an author declares, and the steps of one enqueue that ``launches`` returns.

This module needs neither cupy, numba nor a GPU.
"""

from __future__ import annotations

import hashlib
import re
import stat
import string
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pluginkit.contract.defines import cpp_definitions
from pluginkit.contract.dims import Dim
from pluginkit.contract.dtypes import Scalar
from pluginkit.contract.inline_source import first_line_of
from pluginkit.contract.tensors import TensorDesc, Workspace
from pluginkit.errors import DeclarationError

_LOCAL_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"\n]+)"', re.MULTILINE)

KernelConstant = int | bool | str
_NO_CONSTANTS: Mapping[str, KernelConstant] = MappingProxyType({})
KernelArgument = TensorDesc | Workspace | Scalar | Dim | float | bool | None


#: A file's number, when it was written, and its size in bytes; None where there is no file.
_Stamp = tuple[int, int, int] | None


def _stamp(place: Path) -> _Stamp:
    try:
        status = place.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _local_files(source: Path) -> tuple[dict[Path, bytes], dict[Path, _Stamp]]:
    """Return what a source and its local headers hold, and the stamp of each place looked at."""
    contents, stamps, files = dict[Path, bytes](), {source: _stamp(source)}, [source]
    for file in files:  # grows
        contents[file] = file.read_bytes()
        for name in _LOCAL_INCLUDE.findall(contents[file].decode("utf-8")):
            # The compiler looks in the including file's folder, then in the source's.
            for place in (folder / name for folder in (file.parent, source.parent)):
                stamps[place] = _stamp(place)
                if stamps[place] is not None:
                    if (found := place.resolve()) not in files:
                        files.append(found)
                    break
    return contents, stamps


@dataclass(eq=False)
class CudaKernel:
    """A ``__global__`` function in CUDA C++, compiled by NVRTC.

    Args:
        source: a ``.cu`` file in the folder of the plugin's module, or the CUDA C++ itself. A file
            may ``#include "shared.cuh"`` by a path from its own folder.
        name: the function, as a C++ name expression. ``{T}`` becomes the C++ type bound to the type
            variable ``T``, ``{axis}`` the value of an attribute or a property of the class,
            ``{VEC}`` one of ``constants``.
        constants: further template arguments that ``launches`` chooses, each with all its possible
            values.
        options: further NVRTC options; C++17 is the default.
        defines: constants that the source shares with Python, so that the two cannot differ:
            ``{"THREADS": 256}`` gives the source ``pluginkit::THREADS``, and
            ``{"Mode": Literal["linear", "cubic"]}`` the ``enum class pluginkit::Mode``. A value is
            an int, a bool, a float (a C++ ``float``) or a Literal of strings.
        overlaps: whether, from compute capability 9.0, the kernel may begin before the launch that
            precedes it has ended (CUDA's programmatic dependent launch). Whatever its inputs, it
            has to execute ``griddepcontrol.wait``: before it touches what earlier launches of the
            enqueue write, and before it writes what they read. The preceding kernel may say with
            ``griddepcontrol.launch_dependents`` how early. After a copy or a fill, or as the first
            step, the kernel is launched as any other.
    """

    source: str
    name: str
    constants: Mapping[str, Sequence[KernelConstant]] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    defines: Mapping[str, Any] = field(default_factory=dict)
    overlaps: bool = False
    path: Path | None = field(default=None, init=False)
    _module_file: Path | None = field(default=None, init=False)
    _read: tuple[Mapping[Path, bytes], Mapping[Path, _Stamp]] | None = field(
        default=None, init=False, repr=False
    )

    def locate(self, owner: type) -> None:
        """Find the source file in the folder of the plugin class that declares the kernel."""
        is_file = "\n" not in self.source and self.source.endswith((".cu", ".cuh"))
        if is_file and self.path is None:  # an inherited kernel stays with its own class
            self.path = _file_next_to(owner, self.source)
        if not is_file and self._module_file is None:
            self._module_file = _module_file(owner)

    @property
    def origin(self) -> tuple[str, int]:
        """The file that holds the source, and the line on which it begins there."""
        if self.path is not None:
            return str(self.path), 1
        line = self._module_file and first_line_of(self._module_file, self.source)
        return (str(self._module_file), line) if line else ("kernel.cu", 1)

    @property
    def code(self) -> str:
        """The CUDA C++ source text."""
        return self.path.read_text(encoding="utf-8") if self.path else self.source

    def definitions(self) -> str:
        """Return the C++ definitions of ``defines``, which come before the source.

        Errors:
            ValueError: a define has no C++ form.
        """
        return cpp_definitions(self.defines)

    @property
    def files(self) -> tuple[Path, ...]:
        """The source file, then the headers that it includes in quotes, and those they include."""
        return tuple(self._contents())

    @property
    def headers_digest(self) -> str:
        """The hash of what the headers hold, "" where there is none."""
        _, *headers = self._contents().values() or [b""]
        return hashlib.sha256(b"\0".join(headers)).hexdigest() if headers else ""

    def _contents(self) -> Mapping[Path, bytes]:
        """Return what the files hold, which are read again where one has changed."""
        if self._read is None or any(_stamp(place) != was for place, was in self._read[1].items()):
            self._read = _local_files(self.path) if self.path else ({}, {})
        return self._read[0]

    @cached_property
    def placeholders(self) -> frozenset[str]:
        """The names in braces in the name expression."""
        return frozenset(part for _, part, _, _ in string.Formatter().parse(self.name) if part)

    def constant_choices(self) -> list[dict[str, KernelConstant]]:
        """Return every combination of the declared constants."""
        return [
            dict(zip(self.constants, values, strict=True))
            for values in product(*self.constants.values())
        ]


@dataclass(eq=False)
class NumbaKernel:
    """A Python function compiled with ``numba.cuda``.

    Args:
        source: a ``.py`` file in the folder of the plugin's module. It is imported only when the
            kernel is compiled, so that the plugin itself needs no numba.
        name: the function in that file, undecorated; it may call ``numba.cuda.jit(device=True)``
            functions.
    """

    source: str
    name: str
    path: Path | None = field(default=None, init=False)

    def locate(self, owner: type) -> None:
        """Find the source file in the folder of the plugin class that declares the kernel."""
        if self.path is None:  # an inherited kernel stays with its own class
            self.path = _file_next_to(owner, self.source)


Kernel = CudaKernel | NumbaKernel


@dataclass(frozen=True, eq=False, init=False)
class Launch:
    """One kernel launch.

    Args:
        kernel: which kernel.
        grid: blocks, up to three known dimensions. A launch without blocks is left out.
        block: threads per block, up to three dimensions.
        args: the kernel's arguments in order: tensor descriptions and workspace (passed as
            pointers; None as a null pointer), scalars such as ``int32(n)``, or bare Python values:
            int becomes int64, float float32, bool bool. ``float32((a, b))`` is a struct of an array
            of two floats in CUDA C++. A numba kernel sees each tensor as a
            C-contiguous device array of its shape, bfloat16 as uint16, the workspace as an array of
            uint8, and ``int32((a, b))`` as a tuple; it cannot take None.
        shared_bytes: dynamic shared memory per block, in bytes.
        constants: values for the kernel's declared ``constants``.
    """

    kernel: Kernel
    grid: Dim | tuple[Dim, ...]
    block: Dim | tuple[Dim, ...]
    args: tuple[KernelArgument, ...]
    shared_bytes: int = 0
    constants: Mapping[str, KernelConstant] = field(default_factory=dict)

    def __init__(
        self,
        kernel: Kernel,
        grid: Dim | tuple[Dim, ...],
        block: Dim | tuple[Dim, ...],
        args: tuple[KernelArgument, ...],
        shared_bytes: int = 0,
        constants: Mapping[str, KernelConstant] = _NO_CONSTANTS,
    ) -> None:
        members = self.__dict__  # as those of a TensorDesc
        members["kernel"], members["grid"], members["block"] = kernel, grid, block
        members["args"], members["shared_bytes"] = args, shared_bytes
        members["constants"] = constants


@dataclass(frozen=True, eq=False)
class Copy:
    """Copy all of ``source`` to ``target`` on the device; both have the same size."""

    target: TensorDesc | Workspace
    source: TensorDesc


@dataclass(frozen=True, eq=False)
class Fill:
    """Set every byte of ``target`` to ``byte``."""

    target: TensorDesc | Workspace
    byte: int = 0


Step = Launch | Copy | Fill


def _module_file(owner: type) -> Path:
    module: Any = sys.modules.get(owner.__module__)
    return Path(getattr(module, "__file__", None) or "").resolve()


def _file_next_to(owner: type, file: str) -> Path:
    folder = _module_file(owner).parent
    path = folder / file
    if not path.is_file():
        raise DeclarationError(
            "PK106",
            f"{owner.__name__}: kernel file '{file}' is not in {folder}; "
            "expected it next to the plugin's module.",
            fix="create the file, or correct its name in the kernel's declaration.",
        )
    return path
