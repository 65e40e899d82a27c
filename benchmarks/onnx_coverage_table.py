"""The page of benchmarks/onnx_coverage.py, made from its results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pluginkit.bench.bench_table import markdown_from_table

_STATUSES = ("native", "rewritten", "plugin", "left")
_HEAD = """# Coverage of ONNX's node tests

Made by `python benchmarks/onnx_coverage.py` from [results/coverage.json](results/coverage.json).

The node tests that come with onnx, without those whose function is spelled out and those of
training, whose graph inputs and outputs are of types that TensorRT imports: float32, float16,
bfloat16, int8, uint8, int32, int64 and bool. Each is built for compute capability 8.9; where that
fails, again with all inputs but the first stored in the model.

- native: it builds as it is.
- rewritten: it builds after rewrites that need no plugin, and the rewritten model reproduces the
  outputs that come with the test, within its tolerances.
- plugin: the same with plugins, which compute with their numpy references.
- left: neither.
"""


def page_from_document(document: Mapping[str, Any]) -> str:
    """Return the page in Markdown."""
    rows = document["rows"]
    by_op = {op: [row for row in rows if row["op"] == op] for op in {row["op"] for row in rows}}
    columns = ["operator", "tests", *_STATUSES]
    table = [_counts("all", rows), *(_counts(op, by_op[op]) for op in sorted(by_op))]
    parts = [
        _HEAD,
        f"{_versions(document)}\n",
        markdown_from_table(columns, table),
        "\n## What the rewrites do\n",
        markdown_from_table(["rewrites", "tests", "operators"], _uses(rows)),
        "\n## What is left\n",
        markdown_from_table(["operator", "tests", "TensorRT", "rewrites"], _left(by_op)),
    ]
    return "\n".join(parts) + "\n"


def _versions(document: Mapping[str, Any]) -> str:
    versions = document["environment"]["versions"]
    return ", ".join(f"{name} {version}" for name, version in versions.items()) + (
        f"; {document['date']}."
    )


def _counts(op: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    found = Counter(row["status"] for row in rows)
    return [op, str(len(rows)), *(str(found[status] or "") for status in _STATUSES)]


def _uses(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return how many tests each combination of rewrites makes build."""
    operators: dict[str, Counter[str]] = {}
    for row in rows:
        if row["status"] in ("rewritten", "plugin"):
            operators.setdefault(" + ".join(row["rewrites"]), Counter())[row["op"]] += 1
    return [
        [names, str(found.total()), ", ".join(sorted(found))]
        for names, found in sorted(operators.items(), key=lambda each: -each[1].total())
    ]


def _left(by_op: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[list[str]]:
    """Return one line for each operator and reason."""
    lines = []
    for op in sorted(by_op):
        found = Counter(
            (row["refusal"], row["problem"]) for row in by_op[op] if row["status"] == "left"
        )
        lines += [[op, str(count), *reasons] for reasons, count in found.items()]
    return lines
