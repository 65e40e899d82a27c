"""Compile a library's kernels for each GPU, one module for each CUDA source or numba kernel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pluginkit.export.generate.kernel_cache import compiled_group
from pluginkit.export.parallel import in_parallel
from pluginkit.export.progress import Report, silent
from pluginkit.kernels.specialise import (
    CudaSpecialisation,
    NumbaSpecialisation,
    Specialisation,
)


@dataclass(frozen=True)
class Image:
    """Machine code or PTX.

    Attributes:
        file: the file's name in the library's folder of kernels.
        compute_capability: without the dot, ``"90"``.
        is_ptx: whether it is PTX, which is zero-terminated.
        data: the content.
    """

    file: str
    compute_capability: str
    is_ptx: bool
    data: bytes


@dataclass(frozen=True)
class KernelModule:
    """Compiled kernels that are loaded together.

    Attributes:
        kernels: the specialisations in the module.
        symbols: the name of each kernel in the module.
        parameter_sizes: for each kernel the sizes of its parameters in bytes.
        images: the code for each compute capability, and PTX.
    """

    kernels: tuple[Specialisation, ...]
    symbols: tuple[str, ...]
    parameter_sizes: tuple[tuple[int, ...], ...]
    images: tuple[Image, ...]


def compile_modules(
    owner: str,
    wanted: Sequence[Specialisation],
    capabilities: Sequence[str],
    report: Report = silent,
) -> tuple[KernelModule, ...]:
    """Compile kernels for GPUs, or take them from the cache on disk.

    Args:
        owner: the name of the plugin class, with which file names begin.
        wanted: the kernels.
        capabilities: the compute capabilities, without dots, in ascending order; the last one also
            gets PTX.
        report: called with the progress.

    Errors:
        PK310: a package of the ``cuda`` extra is missing.  PK320 to PK322: a kernel does not
        compile.
    """
    modules = []
    groups = _groups(wanted)
    every = iter(
        in_parallel(
            lambda job: compiled_group(*job),
            [(group, capability) for group in groups for capability in capabilities],
            f"compiling the kernels of {owner}",
            report,
        )
    )
    for number, group in enumerate(groups):
        compiled = [next(every) for _ in capabilities]
        name = f"{owner}_{number}_{_stem(group[0])}"
        images = [
            Image(f"{name}.sm_{capability}.cubin", capability, False, one.cubin)
            for capability, one in zip(capabilities, compiled, strict=True)
        ]
        ptx = Image(
            f"{name}.compute_{capabilities[-1]}.ptx",
            capabilities[-1],
            True,
            compiled[-1].ptx + b"\0",
        )
        first = compiled[0]
        modules.append(KernelModule(group, first.symbols, first.parameter_sizes, (*images, ptx)))
    return tuple(modules)


def _groups(wanted: Sequence[Specialisation]) -> list[tuple[Specialisation, ...]]:
    """Group the kernels that are compiled together: those of one source, or one numba kernel."""
    groups: dict[object, list[Specialisation]] = {}
    for one in wanted:
        key: object = one
        if isinstance(one, CudaSpecialisation):
            key = one.code, one.options, one.folder
        groups.setdefault(key, []).append(one)
    return [tuple(group) for group in groups.values()]


def _stem(kernel: Specialisation) -> str:
    """Return the stem of a file name: the name of the function."""
    name = kernel.name if isinstance(kernel, NumbaSpecialisation) else kernel.expression
    return re.sub(r"\W.*", "", name) or Path("kernel").stem
