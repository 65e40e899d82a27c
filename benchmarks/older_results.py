"""Say which results are older than the code that they measure.

    python benchmarks/older_results.py

A result follows from its script, from the modules that the script imports, and from the plugins
among them with their kernels and what these share with other plugins. It is older where git knows a
later commit to one of these. The exit code is 1 if there is such a result.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
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
    "hostile_shapes": ("plugins",),
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
_NOT_MEASURED = {"record", "report", "hostile_table", "onnx_coverage_table"}
#: How Python names a kernel's source, and CUDA C++ a header.
_KERNEL_FILE = re.compile(r'"([^"\n]+\.cuh?)"')


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
    """Yield a script and what it uses: modules beside it, rewrites, plugins, what plugins share."""
    waiting, met = [script], {script}
    while waiting:
        path = waiting.pop()
        if path.is_dir():
            yield path  # whatever is in it, or was
            used = set(path.iterdir())
        elif path.suffix in (".py", ".cu", ".cuh") and path.is_file():
            yield path
            used = set(_used_by(path))
        else:
            continue
        waiting += used - met
        met |= used


def _used_by(path: Path) -> Iterator[Path]:
    """Yield the files that a file imports or includes, and the folders of plugins that it uses."""
    text = path.read_text(encoding="utf-8")
    yield from ((path.parent / name).resolve() for name in _KERNEL_FILE.findall(text))
    for name in _imports(text) if path.suffix == ".py" else ():
        match name.split("."):
            case ["pluginkit", "plugins", "_cuda", module, *_]:
                yield ROOT / "plugins" / "_cuda" / f"{module}.py"
            case ["pluginkit", "plugins", plugin, *_]:
                yield ROOT / "plugins" / plugin
            case ["pluginkit", "graph_rewrites", module, *_]:
                yield ROOT / "graph_rewrites" / f"{module}.py"
            case [beside, *_] if beside not in _NOT_MEASURED:
                yield FOLDER / f"{beside}.py"


def _imports(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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
