"""Hold the report of a benchmark; write it as JSON and read it back."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pluginkit
from pluginkit.errors import UsageError

#: The layout of the document; raise it when a field changes its meaning or goes.
FORMAT = 1
#: The name of pluginkit's implementation; all others are peers.
OWN = "pluginkit"

_PACKAGES = (
    "numpy", "cupy-cuda13x", "numba", "numba-cuda", "cuda-bindings", "torch", "triton",
    "onnx", "onnx-graphsurgeon", "tensorrt", "tensorrt-rtx", "tensorrt-lean-cu13-bindings",
)  # fmt: skip


@dataclass(frozen=True)
class Measurement:
    """One implementation on one workload.

    Attributes:
        case, variant, dtype: the workload.
        shapes: of inputs and outputs, with their types: ``"float32[8, 512]"``.
        implementation: ``"pluginkit"`` or a peer's name.
        status: ``"ok"``; ``"wrong"``, with the error and not timed; ``"not offered"``;
            ``"failed"``.
        note: why, for every status but ``"ok"``; else what it was compared with, if not with the
            reference.
        error: the largest error against the reference, relative to max(1, expected).
        compulsory_bytes: the bytes that must be moved at least.
        floor_us: the time that the copy bandwidth allows for that.
        device_us: the median time on the device.
        low_us, high_us: its first and ninth decile.
        host_v2_us, host_v3_us: the median host time of one enqueue through the adapter.
    """

    case: str
    variant: str
    dtype: str
    shapes: list[str]
    implementation: str
    status: Literal["ok", "wrong", "not offered", "failed"]
    compulsory_bytes: int
    floor_us: float
    note: str = ""
    error: float | None = None
    device_us: float | None = None
    low_us: float | None = None
    high_us: float | None = None
    host_v2_us: float | None = None
    host_v3_us: float | None = None

    @property
    def workload(self) -> tuple[str, str, str]:
        """Case, variant and dtype."""
        return self.case, self.variant, self.dtype

    @property
    def over_floor(self) -> float | None:
        """Time over floor."""
        return self.device_us / self.floor_us if self.device_us else None


@dataclass(frozen=True)
class BenchReport:
    """A run of one benchmark on one machine.

    Attributes:
        benchmark: the plugin's name.
        date: UTC, ISO 8601.
        environment: GPU, driver, CUDA and the versions of packages.
        copy_bandwidth: of a copy on the device, bytes read plus bytes written in a second.
        driver_launch_us: host time of one cuLaunchKernel, with nothing around it.
        driver_launch_by: the caller: a C loop, or Python.
        method: how times were taken.
        results: in the order in which they were measured.
    """

    benchmark: str
    date: str
    environment: Mapping[str, Any]
    copy_bandwidth: float
    driver_launch_us: float
    driver_launch_by: str
    method: str
    results: list[Measurement] = field(default_factory=list)

    @property
    def implementations(self) -> list[str]:
        """The names of the implementations, pluginkit first."""
        return list(dict.fromkeys([OWN, *(one.implementation for one in self.results)]))

    def by_workload(self) -> dict[tuple[str, str, str], dict[str, Measurement]]:
        """Return the results of each workload by implementation."""
        found: dict[tuple[str, str, str], dict[str, Measurement]] = {}
        for one in self.results:
            found.setdefault(one.workload, {})[one.implementation] = one
        return found


def document_from_report(report: BenchReport) -> dict[str, Any]:
    """Return the report as JSON values."""
    return {"format": FORMAT, **dataclasses.asdict(report)}


def report_from_document(document: Mapping[str, Any]) -> BenchReport:
    """Return the report from which ``document_from_report`` made ``document``.

    Errors:
        PK702: it is no report, or one of another format.
    """
    try:
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']}")
        values = {key: value for key, value in document.items() if key != "format"}
        return BenchReport(
            **{**values, "results": [Measurement(**one) for one in values["results"]]}
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            "PK702",
            f"the document is no benchmark report of format {FORMAT}: {error}.",
            fix="measure again with this pluginkit.",
        ) from error


def now() -> str:
    """Return the current time as a report states it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def installed_versions(names: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Return the versions of pluginkit, Python and the installed packages that matter."""
    found = {"pluginkit": pluginkit.__version__, "python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
