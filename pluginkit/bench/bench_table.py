"""Make the table of a report, for the terminal, HTML and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.bench.bench_report import OWN, BenchReport, Measurement

BenchTable = tuple[list[str], list[list[str]]]


def table_from_report(report: BenchReport) -> BenchTable:
    """Return columns and rows: the floor, then each implementation's time and multiple of it."""
    peers = [name for name in report.implementations if name != OWN]
    columns = ["case", "variant", "type", "floor us", OWN, "share", "host us V2 / V3", *peers]
    rows = []
    for (case, variant, dtype), found in report.by_workload().items():
        own = found[OWN]
        share = "" if own.over_floor is None else f"{1 / own.over_floor:.0%}"
        both = (own.host_v2_us, own.host_v3_us)
        hosts = " / ".join("-" if each is None else f"{each:.1f}" for each in both)
        hosts = "" if both == (None, None) else hosts
        cells = [case, variant, dtype, _microseconds(own.floor_us), _time(own), share, hosts]
        rows.append([*cells, *(_time(found.get(name)) for name in peers)])
    return columns, rows


def _time(result: Measurement | None) -> str:
    if result is None:
        return ""
    if result.device_us is None or result.over_floor is None:
        return result.status
    return f"{_microseconds(result.device_us)} x{result.over_floor:.2f}"


def _microseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def summary_of(report: BenchReport) -> list[str]:
    """Return lines that say on which machine and how it was measured."""
    machine = report.environment
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return [
        f"{machine['gpu']}, driver {machine['driver']}, CUDA {machine['cuda_driver']}, "
        f"{machine['tensorrt']}, {report.date}",
        versions,
        f"copy bandwidth {report.copy_bandwidth / 1e12:.2f} TB/s; floor: bytes that must be moved "
        "over that; xN: time over floor; share: floor over time",
        f"cuLaunchKernel alone: {report.driver_launch_us:.1f} us ({report.driver_launch_by})",
    ]


def markdown_from_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
