"""What is known about an exported library: where it comes from, and what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit.engine.plan.json_reader import JsonReader

if TYPE_CHECKING:
    from pluginkit.export.export_library import ExportOptions, ExportResult


@dataclass(frozen=True)
class LibraryRecord:
    """A library of plugins that was made by pluginkit.

    Attributes:
        sha256, bytes: of the library.
        tensorrt: the TensorRT that it was made for, ``"10.3"`` or ``"rtx"``.
        arch: the processor, ``"x86_64"``.
        compiler: the C++ compiler's version.
        cuda: the version of the compiler of its kernels, ``"13.0"``.
        compute_capabilities: the GPUs for which it holds machine code, ``"8.9"``. Later ones
            compile the PTX of the last.
        kernels, kernel_bytes: how many kernels it holds, and the size of their code.
        sources: the SHA-256 of each file that it was compiled from, by name.
        variants: the calls that it is for, in words.
        proved_calls: how many calls were compared with the Python classes.
    """

    sha256: str
    bytes: int
    tensorrt: str
    arch: str
    compiler: str
    cuda: str
    compute_capabilities: tuple[str, ...]
    kernels: int
    kernel_bytes: int
    sources: Mapping[str, str]
    variants: tuple[str, ...]
    proved_calls: int

    @property
    def needs(self) -> str:
        """What the machine that runs it needs, in words."""
        major, newest = self.cuda.partition(".")[0], self.compute_capabilities[-1]
        return (
            f"a driver that supports CUDA {major}.0 for compute capability "
            f"{', '.join(self.compute_capabilities)}, and CUDA {self.cuda} for GPUs later than "
            f"{newest}"
        )


def library_record(result: ExportResult, options: ExportOptions) -> LibraryRecord:
    """Describe a library that was just made.

    Args:
        result: what was made.
        options: what it was made for.
    """
    library = result.library
    return LibraryRecord(
        sha256=result.sha256[library.name],
        bytes=library.stat().st_size,
        tensorrt=options.tensorrt,
        arch=result.arch,
        compiler=result.compiler,
        cuda=result.cuda,
        compute_capabilities=tuple(_dotted(options.compute_capabilities)),
        kernels=result.kernels,
        kernel_bytes=result.kernel_bytes,
        sources=result.sources,
        variants=tuple(map(str, result.variants)),
        proved_calls=result.proof.calls,
    )


def _dotted(capabilities: Sequence[str]) -> list[str]:
    return [f"{one[:-1]}.{one[-1]}" for one in capabilities]


def read_library(reader: JsonReader) -> LibraryRecord:
    """Return the record that a manifest holds.

    Errors:
        ValueError: a value is missing or of another type.
    """
    record = LibraryRecord(**reader.fields(LibraryRecord), sources=reader.one("sources").texts())
    if not record.compute_capabilities:
        raise ValueError("library.compute_capabilities is empty")
    return record
