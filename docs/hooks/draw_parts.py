"""Draw which part of pluginkit imports which, as the Mermaid diagram in CONTRIBUTING.md.

    python docs/hooks/draw_parts.py

An arrow goes from a part to one that it imports. Arrows that follow from others are left out. So
are distribution, errors, quantities, atomic_files, interrupts and current_work, which every part
may import.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "pluginkit"
EVERYWHERE = {"distribution", "errors", "quantities", "atomic_files", "interrupts", "current_work"}
OUTSIDE = {"plugins", "graph_rewrites"}  # installed inside the package, found by discovery


def imported_parts(path: Path) -> Iterator[str]:
    """Yield the part of every pluginkit module that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("pluginkit."))


def imports_of_parts() -> dict[str, set[str]]:
    """Return the parts that each part imports."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        part = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if part != "__init__":
            found.setdefault(part, set()).update(imported_parts(path))
    shown = found.keys() - EVERYWHERE - OUTSIDE
    return {part: (found[part] & shown) - {part} for part in sorted(shown)}


def reached_from(parts: set[str], imports: dict[str, set[str]]) -> set[str]:
    """Return all that these parts import, directly or through others."""
    reached: set[str] = set()
    waiting = set(parts)
    while waiting:
        reached |= waiting
        waiting = {other for part in waiting for other in imports[part]} - reached
    return reached


def diagram() -> str:
    """Return the diagram, with the arrows that do not follow from others."""
    imports = imports_of_parts()
    lines = ["flowchart TD"]
    for part, targets in imports.items():
        for target in sorted(targets):
            if target not in reached_from(set().union(*(imports[t] for t in targets)), imports):
                lines.append(f"    {part} --> {target}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(diagram())
