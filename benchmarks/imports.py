"""Measure how long importing pluginkit and its help take, in fresh processes.

python benchmarks/imports.py
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from record import host_environment, record

RUNS = 15
COMMANDS = {
    "python -c pass": (["-c", "pass"], None),
    "import pluginkit": (["-c", "import pluginkit"], 0.15),
    "pluginkit --help": (["-m", "pluginkit", "--help"], 0.3),
    "pluginkit --help, without a parent that survives crashes": (
        ["-c", "from pluginkit.cli.main import main; main(['--help'])"],
        None,
    ),
    "pluginkit list": (["-m", "pluginkit", "list"], None),
}


def seconds_of(arguments: list[str]) -> float:
    """Return the wall time of one process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Measure every command."""
    rows = []
    for name, (arguments, limit) in COMMANDS.items():
        seconds_of(arguments)  # writes what Python caches
        times = sorted(seconds_of(arguments) for _ in range(RUNS))
        rows.append({"command": name, "seconds": statistics.median(times), "limit_seconds": limit})
        print(f"{statistics.median(times):6.3f} s  {name}")
    record("imports", host_environment(), rows)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    main()
