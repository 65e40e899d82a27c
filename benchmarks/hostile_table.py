"""Tell in tables what benchmarks/hostile_shapes.py measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pluginkit.bench.bench_table import markdown_from_table

#: A time over the fastest peer's up to which a plugin equals it: two runs differ by as much.
EQUAL = 1.02
Row = Mapping[str, Any]


def summary_line(rows: Sequence[Row]) -> str:
    """Return how many workloads are as fast as the fastest peer, and which one is slowest."""
    compared = [row for row in rows if "ratio" in row]
    equal = sum(row["ratio"] <= EQUAL for row in compared)
    text = f"{equal} of {len(compared)} workloads take at most {EQUAL} of the fastest peer's time"
    if compared:
        worst = max(compared, key=_ratio)
        name = f"{worst['plugin']}, {_name(worst)}"
        text += f"; the slowest takes {worst['ratio']:.2f} of it ({name})"
    alone = sum(row["status"] == "ok" for row in rows) - len(compared)
    text += f". {alone} more have no peer" if alone else ""
    failed = [f"{row['plugin']}, {_name(row)}: {row['note']}" for row in rows if not _is_ok(row)]
    return f"{text}. Wrong or failed: {'; '.join(failed) or 'none'}."


def tables(rows: Sequence[Row]) -> str:
    """Return a table of plugins, and one of the workloads on which a peer is faster."""
    slower = sorted((row for row in rows if _ratio(row) > EQUAL), key=_ratio, reverse=True)
    of_plugins = [_plugin(name, rows) for name in sorted({row["plugin"] for row in rows})]
    columns = ["plugin", "compared", f"at most {EQUAL}", "above 1.05", "slowest", "ratio"]
    head = ["plugin", "case", "variant", "type", "shapes", "us", "fastest peer", "ratio"]
    cells = [
        [row["plugin"], row["case"], row["variant"], row["dtype"], ", ".join(row["shapes"]),
         f"{row['device_us']:.1f}", row["fastest"], f"{row['ratio']:.2f}"]
        for row in slower
    ]  # fmt: skip
    return f"{markdown_from_table(columns, of_plugins)}\n\n{markdown_from_table(head, cells)}"


def _plugin(name: str, rows: Sequence[Row]) -> list[str]:
    compared = [row for row in rows if row["plugin"] == name and "ratio" in row]
    ratios = [row["ratio"] for row in compared]
    counts = [len(ratios), sum(r <= EQUAL for r in ratios), sum(r > 1.05 for r in ratios)]
    worst = max(compared, key=_ratio, default=None)
    slowest = [_name(worst), f"{worst['ratio']:.2f}"] if worst else ["", ""]
    return [name, *map(str, counts), *slowest]


def _ratio(row: Row) -> float:
    ratio: float = row.get("ratio", 0.0)
    return ratio


def _name(row: Row) -> str:
    return " ".join(row[key] for key in ("case", "variant", "dtype") if row.get(key))


def _is_ok(row: Row) -> bool:
    return bool(row["status"] == "ok")
