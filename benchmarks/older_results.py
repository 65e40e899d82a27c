"""Say which results are older than the code that they measure.

    python benchmarks/older_results.py

A result follows from its script, from the modules that the script imports, and from the plugins
among them with their kernels. It is older where git knows a later commit to one of these. The exit
code is 1 if there is such a result.
"""

from __future__ import annotations

import argparse
import ast
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GIT = shutil.which("git") or "git"
ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
#: The scripts of results that are not called like them.
SCRIPTS = {
    "coverage": "onnx_coverage",
    "ptx_checks": "ptx_machine",
    "ptx_mutants_barriers": "ptx_mutants",
    "ptx_mutants_ends": "ptx_mutants",
}
#: What scripts measure without importing it by name.
MEASURED = {
    "coverage": ("graph_rewrites", "plugins"),
    "cold_start": ("pluginkit/kernels",),
    "enqueue": ("pluginkit/kernels", "pluginkit/trt"),
    "enqueue_exported": ("pluginkit/export/runtime",),
    "enqueue_vtables": ("pluginkit/kernels", "pluginkit/trt", "pluginkit/contract/calls"),
    "export_plugins": ("pluginkit/export", "plugins"),
    "exports": ("graph_rewrites", "plugins"),
    "imports": ("pluginkit/cli/main.py", "pluginkit/__init__.py"),
    "install_size": ("pyproject.toml",),
    "new_shapes": ("pluginkit/kernels", "pluginkit/trt", "pluginkit/contract/calls"),
    "ptx_checks": ("pluginkit/ptx", "plugins"),
    "ptx_mutants_barriers": ("pluginkit/ptx", "plugins"),
    "ptx_mutants_ends": ("pluginkit/ptx", "plugins"),
    "ptx_throughput": ("pluginkit/ptx",),
    "rewrite": ("pluginkit/onnx/rewriting", "pluginkit/onnx/model"),
    "torchvision_detectors": ("graph_rewrites", "plugins"),
}
#: Modules beside the scripts that change nothing that is measured.
_NOT_MEASURED = {"record", "report", "onnx_coverage_table"}


@dataclass(frozen=True)
class OlderResult:
    """A result that is older than its code.

    Attributes:
        name: of the file in benchmarks/results.
        date: when it was measured, or else committed.
        commits: the later commits, the newest first, as ``"1a2b3c4 words"``.
    """

    name: str
    date: str
    commits: tuple[str, ...]


def measured_paths(name: str) -> list[str]:
    """Return what a result follows from, as paths from the repository's root."""
    script = FOLDER / f"{SCRIPTS.get(name, name)}.py"
    found = {path.relative_to(ROOT).as_posix() for path in _sources_of(script)}
    return sorted(found | set(MEASURED.get(name, ())))


def _sources_of(script: Path) -> Iterator[Path]:
    """Yield a script, the modules beside it that it imports, and the folders of plugins."""
    waiting, met = [script], {script}
    while waiting:
        path = waiting.pop()
        if not path.is_file():
            continue
        yield path
        for name in _imports(path):
            parts = name.split(".")
            if parts[:2] == ["pluginkit", "plugins"] and len(parts) > 2:
                yield from (ROOT / "plugins" / parts[2], ROOT / "plugins" / "_cuda")
            if parts[:2] == ["pluginkit", "graph_rewrites"] and len(parts) > 2:
                yield ROOT / "graph_rewrites" / f"{parts[2]}.py"
            beside = FOLDER / f"{parts[0]}.py"
            if beside.is_file() and beside not in met and parts[0] not in _NOT_MEASURED:
                met.add(beside)
                waiting.append(beside)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def older_results(folder: Path = FOLDER / "results") -> list[OlderResult]:
    """Return the results of a folder that are older than their code."""
    found = []
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        date = document.get("date") or _log("-1", "--format=%cI", "--", str(path))[0]
        commits = _log("--format=%h %s", f"--since={date}", "--", *measured_paths(path.stem))
        if commits:
            found.append(OlderResult(path.stem, date, tuple(commits)))
    return found


def _log(*arguments: str) -> list[str]:
    done = subprocess.run(
        [GIT, "log", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


def main() -> int:
    """Print each older result with the newest commit after it."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    older = older_results()
    for one in older:
        print(f"{one.name}, of {one.date[:10]}: {len(one.commits)} later, last {one.commits[0]}")
    print(f"{len(older)} of {len(list((FOLDER / 'results').glob('*.json')))} results are older.")
    return 1 if older else 0


if __name__ == "__main__":
    raise SystemExit(main())
