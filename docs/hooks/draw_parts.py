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

from pluginkit.view.graph_layout import DrawnValue, layout_graph

PACKAGE = Path(__file__).parents[2] / "pluginkit"
EVERYWHERE = {"distribution", "errors", "quantities", "atomic_files", "interrupts", "current_work"}
OUTSIDE = {"plugins", "graph_rewrites"}  # installed inside the package, found by discovery
_STEP_X, _STEP_Y, _HEIGHT = 110, 62, 28
_FRAME = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img">
<style>text {{ font: 13px system-ui, sans-serif; fill: #1b2330 }}
rect {{ fill: #ffffff; stroke: #76b900 }} path {{ fill: none; stroke: #8b96a6 }}</style>
<defs><marker id="head" markerWidth="7" markerHeight="7" refX="6" refY="3.5" orient="auto">
<path d="M0 0L7 3.5L0 7"/></marker></defs>
{body}
</svg>
"""


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


def arrows() -> list[tuple[str, str]]:
    """Return which part imports which, without what follows from other arrows."""
    imports = imports_of_parts()
    return [
        (part, target)
        for part, targets in imports.items()
        for target in sorted(targets)
        if target not in reached_from(set().union(*(imports[t] for t in targets)), imports)
    ]


def diagram() -> str:
    """Return the diagram in Mermaid's language, which forges draw."""
    return "\n".join(["flowchart TD", *(f"    {part} --> {other}" for part, other in arrows())])


def diagram_svg() -> str:
    """Return the diagram as SVG, for the site, whose pages load nothing from elsewhere."""
    drawn = arrows()
    parts = sorted({part for arrow in drawn for part in arrow})
    values = [
        DrawnValue(at, tuple(parts.index(other) for one, other in drawn if one == part))
        for at, part in enumerate(parts)
    ]
    layout = layout_graph(len(parts), [value for value in values if value.readers])
    middle, place = max(map(len, layout.rows)) * _STEP_X / 2, {}
    for row, cells in enumerate(layout.rows):
        for at, cell in enumerate(cells):
            place[cell] = middle + (at - (len(cells) - 1) / 2) * _STEP_X, 10 + row * _STEP_Y
    body = []
    for upper, lower, _ in (wire for wires in layout.wires for wire in wires):
        (x, y), (to_x, to_y) = place[upper], place[lower]
        begin, bend = y + _HEIGHT, (y + _HEIGHT + to_y) / 2
        path = f"M{x} {y}V{begin}C{x} {bend} {to_x} {bend} {to_x} {to_y}"
        head = ' marker-end="url(#head)"' if lower < len(parts) else ""
        body.append(f'<path d="{path}"{head}/>')
    for at, part in enumerate(parts):
        x, y = place[at]
        body.append(
            f'<rect x="{x - 45}" y="{y}" width="90" height="{_HEIGHT}" rx="6"/>'
            f'<text x="{x}" y="{y + 18}" text-anchor="middle">{part}</text>'
        )
    size = f"0 0 {2 * middle:g} {len(layout.rows) * _STEP_Y - 10}"
    return _FRAME.format(size=size, body="\n".join(body))


if __name__ == "__main__":
    print(diagram())
