"""Write a benchmark's results together with the machine and the versions."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from pluginkit.bench.bench_report import installed_versions, now

RESULTS = Path(__file__).parent / "results"
FORMAT = 1


def record(
    name: str,
    environment: dict[str, Any],
    rows: list[dict[str, Any]],
    path: Path | None = None,
    **more: Any,
) -> None:
    """Write benchmarks/results/``name``.json, or another file, with ``more`` beside the rows."""
    document = {
        "format": FORMAT,
        "benchmark": name,
        "date": now(),
        **more,
        "environment": environment,
        "rows": rows,
    }
    path = path or RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"Wrote {path.relative_to(Path.cwd())}" if path.is_relative_to(Path.cwd()) else path)


def host_environment() -> dict[str, Any]:
    """Return the processor and the versions of packages."""
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "versions": installed_versions(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
