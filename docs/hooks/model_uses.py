"""Find the models that need each plugin and each rewrite, from what was measured and is in reach.

They are the models in examples/, which are rewritten here; the exported models in
benchmarks/results/exports.json; and ONNX's node tests in coverage.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pluginkit import find_rewrites, load_model, rewrite_model

ROOT = Path(__file__).parents[2]


def uses() -> dict[str, dict[str, list[str]]]:
    """Return, by plugin_name and rewrite, the kinds of models that need it, with their names."""
    found: dict[str, dict[str, list[str]]] = {}
    for kind, model, names in [*_examples(), *_exports(), *_node_tests()]:
        for name in names:
            models = found.setdefault(name, {}).setdefault(kind, [])
            if model not in models:
                models.append(model)
    return found


def _examples() -> Iterator[tuple[str, str, set[str]]]:
    rewrites = find_rewrites()
    for path in sorted((ROOT / "examples" / "models").glob("*.onnx")):
        applied = rewrite_model(load_model(path), rewrites).applied
        names = {made for one in applied for made in one.made} | {one.rewrite for one in applied}
        yield "models in `examples/models`", path.name, names


def _exports() -> Iterator[tuple[str, str, set[str]]]:
    for row in _rows("exports"):
        names = {*row.get("rewrites", ()), *row.get("plugins", ())}
        yield f"models exported by {row['exporter']}", row["model"].split(".")[0], names


def _node_tests() -> Iterator[tuple[str, str, set[str]]]:
    plugins = {one.__name__: one.plugin.spec.plugin_name for one in find_rewrites() if one.plugin}
    for row in _rows("coverage"):
        if row["status"] in ("plugin", "rewritten"):
            rewrites = set(row["rewrites"])
            yield (
                "node tests of ONNX",
                row["test"],
                rewrites | {plugins[one] for one in rewrites & plugins.keys()},
            )


def _rows(name: str) -> list[dict[str, Any]]:
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    return json.loads(path.read_text())["rows"] if path.is_file() else []
