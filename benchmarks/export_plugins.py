"""How long `pluginkit export NAME` takes for each plugin that ships, and how large its library is.

python benchmarks/export_plugins.py               # every plugin; writes results/export_plugins.json
python benchmarks/export_plugins.py Unique TopK   # these alone, into the same file
python benchmarks/export_plugins.py --table       # the table of docs/leaving-python.md, from it

Each export is a process of its own that begins with an empty cache. It may take as many cores as
there are, so that CPU time is what counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import RESULTS, host_environment, record

from pluginkit import find_plugins
from pluginkit.bench.bench_table import markdown_from_table
from pluginkit.quantities import bytes_text

NAME = "export_plugins"
COLUMNS = ("plugin and options", "CPU", "library", "variants", "kernels", "left out")
SHIPPED = sorted(
    cls.__name__
    for cls in find_plugins().values()
    if cls.__module__.startswith("pluginkit.plugins.")
)
#: The options with which a plugin is exported, after it was without any.
ALSO = {
    "ScatterElements": [["--types", "float32,float16"]],
    "NonMaxSuppression": [
        [
            "--shapes",
            "boxes:1x1x4,1x8400x4,1x8400x4",
            "--shapes",
            "scores:1x80x1,1x80x8400,1x80x8400",
        ]
    ],
}


def exported(plugin: str, options: list[str]) -> dict[str, Any]:
    """Export a plugin in a process of its own; return what it took and what came out."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pluginkit", "export", plugin, *options, "--json"]
        began = time.perf_counter()
        said, errors = Path(scratch, "said"), Path(scratch, "errors")
        with said.open("w") as output, errors.open("w") as error:
            process = subprocess.Popen(
                [*command, "--tensorrt", "rtx", "-o", f"{scratch}/out"],
                env={**os.environ, "PLUGINKIT_CACHE": f"{scratch}/cache"},
                stdout=output,
                stderr=error,
            )
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        row = {
            "plugin": plugin,
            "options": options,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "wall_seconds": time.perf_counter() - began,
        }
        document = json.loads(said.read_text() or '{"error": "it crashed"}')
        if "error" in document:
            return row | {"refusal": errors.read_text()}
        return row | _made(document)


def _made(document: dict[str, Any]) -> dict[str, Any]:
    library = next(name for name in document["files"] if not name.endswith("_static.so"))
    return {
        "library_bytes": document["files"][library],
        "kernels": document["record"]["kernels"],
        "variants": len(document["record"]["variants"]),
        "left_out": document["left_out"],
        "calls": document["proof"]["calls"],
    }


def table(document: dict[str, Any]) -> str:
    """The table, in Markdown, with the machine and the versions."""
    environment = document["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    rows = [_cells(row) for row in document["rows"]]
    return (
        f"{markdown_from_table(COLUMNS, rows)}\n\n"
        f"{environment['processor']}, {environment['cores']} cores; {environment['compiler']}; "
        f"{versions}; {document['date'][:10]}."
    )


def _cells(row: dict[str, Any]) -> list[str]:
    name = " ".join([row["plugin"], *row["options"]])
    seconds = f"{row['cpu_seconds']:.0f} s"
    if "refusal" in row:
        return [name, seconds, row["refusal"].partition(" ")[0], "", "", ""]
    size = bytes_text(row["library_bytes"])
    counts = (row["variants"], row["kernels"], len(row["left_out"]))
    return [name, seconds, size, *(str(count or "") for count in counts)]


def _environment() -> dict[str, Any]:
    from pluginkit.export.compile.compiler import find_compiler

    return host_environment() | {"compiler": find_compiler().version}


def main() -> None:
    """Measure plugins, or print the table of what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("plugins", nargs="*", default=SHIPPED, metavar="PLUGIN")
    parser.add_argument("--table", action="store_true", help="print the table, measure nothing")
    arguments = parser.parse_args()
    results = RESULTS / f"{NAME}.json"
    document = json.loads(results.read_text()) if results.is_file() else {"rows": []}
    if arguments.table:
        print(table(document))
        return
    rows = {(row["plugin"], *row["options"]): row for row in document["rows"]}
    for plugin in arguments.plugins:
        for options in [[], *ALSO.get(plugin, [])]:
            rows[plugin, *options] = row = exported(plugin, options)
            print(" | ".join(_cells(row)), row.get("refusal", ""), flush=True)
            record(NAME, _environment(), [rows[key] for key in sorted(rows)])


if __name__ == "__main__":
    main()
