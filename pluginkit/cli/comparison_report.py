"""Print a comparison, and write it as JSON or Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.errors import UsageError
from pluginkit.quantities import counted

if TYPE_CHECKING:
    from pluginkit.onnx.running.compare_models import Comparison
    from pluginkit.onnx.running.first_divergence import Divergence, TapsComparison
    from pluginkit.onnx.running.output_error import OutputComparison

ReportTable = tuple[str, Sequence[str], list[tuple[str, ...]]]
#: Values inside the models that a table lists.
_SHOWN = 100


def print_comparison(models: tuple[Path, Path], comparison: Comparison, *, as_json: bool) -> None:
    """Print the comparison to stdout."""
    from pluginkit.cli.terminal_output import print_json, print_line, print_table

    if as_json:
        print_json(_document(models, comparison))
        return
    for title, columns, rows in _tables(comparison):
        print_table(title, columns, rows)
    for line in _conclusion(comparison):
        print_line(line)


def write_report(path: Path, models: tuple[Path, Path], comparison: Comparison) -> None:
    """Write the comparison atomically: as Markdown to a ``.md`` file, else as JSON.

    Errors:
        PK615: the file cannot be written.
    """
    from pluginkit.atomic_files import replace_file
    from pluginkit.bench.bench_table import markdown_from_table
    from pluginkit.cli.terminal_output import json_text

    if path.suffix == ".json":
        text = json_text(_document(models, comparison))
    else:
        parts = [f"# {models[0].name} and {models[1].name}", *_conclusion(comparison)]
        for title, columns, rows in _tables(comparison):
            parts += [f"## {title}", markdown_from_table(list(columns), rows)]
        text = "\n\n".join(parts) + "\n"
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise UsageError(
            "PK615",
            f"--report '{path}' cannot be written: {error.strerror}.",
            fix="check the folder, its permissions and the free space.",
        ) from error


def _document(models: tuple[Path, Path], comparison: Comparison) -> dict[str, Any]:
    found = dataclasses.asdict(comparison)
    for case, each in zip(comparison.cases, found["cases"], strict=True):
        each["ok"] = case.ok
    return {"ok": comparison.ok, "original": models[0], comparison.subject: models[1], **found}


def _tables(comparison: Comparison) -> list[ReportTable]:
    from pluginkit.onnx.inference.shape_ranges import text_from_shape

    each = comparison.runs // len(comparison.cases)
    tables: list[ReportTable] = []
    for case in comparison.cases:
        inputs = ", ".join(f"{name} {text_from_shape(dims)}" for name, dims in case.inputs.items())
        tables.append(
            (f"{counted(each, 'run')} with {inputs}", _columns("output"), _rows(case.outputs))
        )
    if comparison.taps is not None:
        tables += _taps_tables(comparison.taps)
    return tables


def _taps_tables(taps: TapsComparison) -> list[ReportTable]:
    wrong = [value for value in taps.values if not value.ok]
    tables: list[ReportTable] = []
    if wrong:
        title = f"{len(wrong)} of {len(taps.values)} values inside differ, in topological order"
        tables.append((title, _columns("value"), _rows(wrong[:_SHOWN])))
    if taps.first is not None:
        tables.append(_divergence_table(taps.first))
    return tables


def _divergence_table(first: Divergence) -> ReportTable:
    rows = [
        _rows([found])[0] if found else (name, "", "", "", "", "not in the original")
        for name, found in first.inputs.items()
    ]
    return f"What {first.rewritten_by} reads", _columns("input"), rows


def _columns(first: str) -> Sequence[str]:
    return (first, "dtype", "shape", "largest error", "relative", "")


def _rows(found: Sequence[OutputComparison]) -> list[tuple[str, ...]]:
    from pluginkit.onnx.inference.shape_ranges import text_from_shape

    return [
        (
            one.name,
            one.dtype,
            text_from_shape(one.shape),
            f"{one.max_abs_error:.3g}",
            f"{one.max_rel_error:.3g}",
            _verdict(one),
        )
        for one in found
    ]


def _verdict(one: OutputComparison) -> str:
    if one.got:
        return f"is {one.got} in the other"
    return "ok" if one.ok else f"{one.mismatches} out of tolerance"


def _conclusion(comparison: Comparison) -> list[str]:
    lines = ["Equal within tolerance." if comparison.ok else "DIFFERENT: see the table."]
    original, rewritten = comparison.computed_by
    lines += [f"Original: {original}.", f"{comparison.subject.capitalize()}: {rewritten}."]
    lines += [f"Not compared: {each} on both sides." for each in comparison.substituted]
    taps = comparison.taps
    if taps is None:
        return lines
    if taps.first is None:
        lines.append(f"All {len(taps.values)} values inside that both models have agree.")
    else:
        by = taps.first.produced_by
        rewritten = "" if taps.first.rewritten_by == by else f", now {taps.first.rewritten_by}"
        lines.append(f"First to differ: '{taps.first.value.name}', produced by {by}{rewritten}.")
    if taps.skipped:
        reasons = dict.fromkeys(taps.skipped.values())
        count = {reason: list(taps.skipped.values()).count(reason) for reason in reasons}
        text = "; ".join(f"{number}: {reason}" for reason, number in count.items())
        lines.append(f"Not compared: {text}.")
    if taps.shift:
        lines.append(f"Taps alone move an output of the original by {taps.shift:.3g}.")
    return lines
