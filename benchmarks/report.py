"""Makes benchmarks/README.md from the files in benchmarks/results.

python benchmarks/report.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pluginkit.bench.report import OWN, Report, report_from_document
from pluginkit.bench.table import markdown_from_table, summary_of, table_from_report

FOLDER = Path(__file__).parent
HEAD = """# Benchmarks

Made by `python benchmarks/report.py` from the files in [results](results).

| script | measures | needs |
| --- | --- | --- |
| [scatter_elements.py](scatter_elements.py) | ScatterElements beside peers | a GPU, torch |
| [enqueue.py](enqueue.py) | what one enqueue costs the host | a GPU, tensorrt_lean |
| [imports.py](imports.py) | how long imports and `--help` take | nothing |
| [rewrite.py](rewrite.py) | `pluginkit rewrite` beside onnx-graphsurgeon | 10 GB of memory |
"""


def load(name: str) -> dict[str, Any]:
    """A file of results."""
    document: dict[str, Any] = json.loads((FOLDER / "results" / f"{name}.json").read_text())
    return document


def machine(document: dict[str, Any]) -> str:
    """What a document was measured on."""
    found = document["environment"]
    parts = []
    if "gpu" in found:
        parts += [found["gpu"], f"driver {found['driver']}", f"CUDA {found['cuda_driver']}"]
        parts += [found["tensorrt"]]
    parts += [f"{found['processor']}, {found['cores']} cores"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"{', '.join(parts)}; {versions}; {document['date']}."


def scatter_elements() -> str:
    """The table of ScatterElements and where it is slower than a peer."""
    report = report_from_document(load("scatter_elements"))
    columns, rows = table_from_report(report)
    lines = [
        "## ScatterElements\n",
        *(f"- {line}" for line in summary_of(report)),
        f"- {report.method}",
        "- Reduction none overwrites: updates that lose are never read, so that it can be faster "
        "than the floor, which counts them.",
        f"- {slower(report)}\n",
        markdown_from_table(columns, rows),
        "\n![roofline and bars](results/scatter_elements.png)\n",
    ]
    return "\n".join(lines)


def slower(report: Report) -> str:
    """The workloads on which a peer is faster."""
    found = []
    for workload, results in report.by_workload().items():
        own = results[OWN].device_us
        for name, result in results.items():
            if own and result.device_us and result.device_us < own:
                found.append(f"{' '.join(workload)}: {name} by {own / result.device_us - 1:.0%}")
    return "Faster peers: " + ("; ".join(found) if found else "none") + "."


def enqueue() -> str:
    """The table of enqueue times."""
    document = load("enqueue")
    rows = [
        [row["way"], f"{row['us']:.1f}", f"{row['low_us']:.1f} to {row['high_us']:.1f}",
         f"x{row['over_driver']:.2f}"]
        for row in document["rows"]
    ]  # fmt: skip
    table = markdown_from_table(["one enqueue", "median us", "deciles", "over the driver"], rows)
    return (
        f"## Enqueue\n\n{machine(document)}\n\nThree inputs, one output, a small kernel; host time "
        f"of single calls on an idle stream, all ways in turn.\n\n{table}\n"
    )


def imports() -> str:
    """The table of start-up times."""
    document = load("imports")
    rows = [
        [row["command"], f"{row['seconds']:.3f}", f"{row['limit_seconds'] or ''}"]
        for row in document["rows"]
    ]
    table = markdown_from_table(["command", "seconds", "limit"], rows)
    return f"## Imports\n\n{machine(document)}\n\nMedians of fresh processes.\n\n{table}\n"


def rewrite() -> str:
    """The table of rewrites."""
    document = load("rewrite")
    rows = [
        [row["model"], row["way"], f"{row['seconds']:.2f}", f"{row['peak_memory_mb']:.0f}"]
        for row in document["rows"]
    ]
    table = markdown_from_table(["model", "way", "seconds", "peak memory, MB"], rows)
    return f"## Rewrite\n\n{machine(document)}\n\nWhole processes, imports included.\n\n{table}\n"


def main() -> None:
    """Write the page."""
    parts = (HEAD, scatter_elements(), enqueue(), imports(), rewrite())
    (FOLDER / "README.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
