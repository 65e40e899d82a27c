"""Measure the size of `pip install tensorrt-pluginkit` by package, and which commands need it.

    python -m venv fresh && fresh/bin/pip install . && fresh/bin/python benchmarks/install_size.py

A size is that of the installed files, with the bytecode that pip writes. A command needs a package
if it fails in a process in which that package cannot be imported.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from record import host_environment, record

MODELS = Path(__file__).parents[1] / "examples" / "models"
#: Command lines by the command's name; the compared model is written by the command before it.
COMMANDS = {
    "build": ["build", "sage_dyn.onnx", "-o", "x.plan", "--compute-capability", "8.9"],
    "scan": ["scan", "sage_dyn.onnx"],
    "view": ["view", "sage_dyn.onnx", "-o", "x.html"],
    "rewrite": ["rewrite", "sage_dyn.onnx", "-o", "x.onnx"],
    "compare": ["compare", "sage_dyn.onnx", "x.onnx"],
}
#: The modules to hide, for each package that might be left out.
LAZY = {"onnxruntime": "onnxruntime", "tensorrt-rtx": "tensorrt_rtx"}
_WITHOUT = (
    "import sys; sys.modules[sys.argv[1]] = None; "
    "from pluginkit.cli.main import main; sys.exit(main(sys.argv[2:]))"
)


def required(name: str) -> set[str]:
    """Return the distribution and all that it needs, without extras."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        try:
            lines = importlib.metadata.requires(current) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform or Python
        if current not in found:
            found.add(current)
            waiting += [re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line]
    return found


def bytes_of(name: str) -> int:
    """Return the size of a distribution's installed files."""
    files = importlib.metadata.files(name) or []
    paths = {Path(str(file.locate())) for file in files}
    return sum(path.stat().st_size for path in paths if path.is_file())


def fails_without(module: str, command: list[str], folder: Path) -> bool:
    """Return whether a command fails where a module cannot be imported."""
    line = [sys.executable, "-c", _WITHOUT, module, *command]
    return subprocess.run(line, cwd=folder, capture_output=True).returncode != 0


def main() -> None:
    """Measure the environment of this Python."""
    rows: list[dict[str, object]] = [
        {"package": name, "bytes": bytes_of(name)} for name in required("tensorrt-pluginkit")
    ]
    rows.sort(key=lambda row: -int(str(row["bytes"])))
    for row in rows:
        print(f"{int(str(row['bytes'])) / 1e6:7.1f} MB  {row['package']}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "sage_dyn.onnx").write_bytes((MODELS / "sage_dyn.onnx").read_bytes())
        for package, module in LAZY.items():
            needing = [
                name for name, each in COMMANDS.items() if fails_without(module, each, folder)
            ]
            rows.append({"without": package, "fails": needing})
            print(f"without {package}: {', '.join(needing) or 'nothing'} fails")
    record("install_size", host_environment(), rows)


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    main()
