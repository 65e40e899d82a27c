"""Write the page of a plugin or of a rewrite, from what ``pluginkit show`` says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from draw_charts import typical_workloads

from pluginkit.bench.bench_report import BenchReport
from pluginkit.bench.bench_table import markdown_from_table, table_from_report

#: What kinds of models need an operator, by sentence; the page has the names.
Uses = Mapping[str, Sequence[str]]
_NAMED = 12


def plugin_page(plugin: Mapping[str, Any], report: BenchReport | None, needed: Uses) -> str:
    """Return a plugin's page.

    Args:
        plugin: the document of ``pluginkit show NAME --json``.
        report: its measurements; None if there are none.
        needed: the models that need it.
    """
    facts = [f"`{plugin['plugin']}` version {plugin['version']}, in the namespace "
             f"`{plugin['namespace']}`"]  # fmt: skip
    if plugin["onnx_op"]:
        facts.append(f"for the operator {plugin['onnx_op']}")
    lines = [f"# {plugin['name']}", "", ", ".join(facts) + ".", ""]
    prose, sections = _docstring(plugin["doc"])
    lines += ["## Formula", "", prose, ""]
    for kind in ("inputs", "outputs"):
        told = _by_name(sections.pop(kind.capitalize(), ""), [one["name"] for one in plugin[kind]])
        lines += [f"## {kind.capitalize()}", "", told, ""]
        lines += [*_ports(plugin[kind], "as `output_shapes` says" if kind == "outputs" else ""), ""]
    if plugin["attributes"]:
        lines += ["## Attributes", "", "| name | type | default | meaning |"]
        lines.append("| --- | --- | --- | --- |")
        for one in plugin["attributes"]:
            type_ = one["type"].replace(" | ", "` or `")  # a bar would end the table's cell
            cells = (f"`{one['name']}`", f"`{type_}`", f"`{one['default']}`", one["doc"])
            lines.append(f"| {' | '.join(map(cell, cells))} |")
        lines.append("")
    sections.pop("Attributes", None)  # the table says the same
    lines += ["## Limits", "", f"Interface: {plugin['interface']}.", ""]
    for title, text in sections.items():
        lines += [f"{title}: {text}", ""]
    lines += [*_variants(plugin), "", *_figures(plugin["name"], report), "", *_needed(needed)]
    return "\n".join(lines) + "\n"


def rewrite_page(rewrite: Mapping[str, Any], needed: Uses) -> str:
    """Return a rewrite's page.

    Args:
        rewrite: the document of ``pluginkit show NAME --json``.
        needed: the models that it is applied to.
    """
    name, plugin = rewrite["name"], rewrite["plugin"]
    lines = [f"# {name}", "", f"`{rewrite['formula']}`", ""]
    lines += [markdown(rewrite["doc"].removeprefix(rewrite["formula"]).strip()), ""]
    if plugin:
        target = plugin.removesuffix("_PK")
        lines += [f"It leads to the plugin [{target}](../plugins/{target}.md).", ""]
    if rewrite["pattern"]:
        lines += ["It looks for", "", "```py", rewrite["pattern"], "```", ""]
    if rewrite["opt_in"]:
        lines += [f"It is applied only where it is named: `--with {name}`.", ""]
    for flavour, version in rewrite["native_since"].items():
        lines += [f"{flavour} {version} and later have the operator, and get no rewrite.", ""]
    return "\n".join([*lines, *_needed(needed)]) + "\n"


def _ports(ports: Sequence[Mapping[str, Any]], computed: str) -> list[str]:
    """Return the table of inputs or outputs; ``computed`` stands for a shape that is not stated."""
    lines = ["| name | dtypes | shape | kind |", "| --- | --- | --- | --- |"]
    for one in ports:
        optional = ", may be absent" if one["optional"] else ""
        ranks = " to ".join(map(str, dict.fromkeys(one["ranks"])))
        shape = f"`{one['shape']}`" if one["shape"] else computed or f"rank {ranks}"
        kind = one["kind"]
        if kind.startswith("like "):
            shape, kind = f"that of `{kind.removeprefix('like ')}`", "tensor"
        variable = f"{one['type']}: " if one["type"] else ""
        lines.append(
            f"| `{one['name']}` | {variable}{', '.join(one['dtypes'])} | {shape} "
            f"| {kind}{optional} |"
        )
    return lines


def _variants(plugin: Mapping[str, Any]) -> list[str]:
    lines = ["## Kernels and their variants", ""]
    if plugin["tactics"]:
        named = ", ".join(f"`{one}`" for one in plugin["tactics"])
        lines += [f"Tactics, which TensorRT times: {named}.", ""]
    lines += ["A kernel is compiled for each set of values in braces that a call needs.", ""]
    for name, kernel in plugin["kernels"].items():
        file = f" in {Path(kernel['file']).name}" if kernel.get("file") else ""
        lines.append(f"- `{name}`: {kernel['kind']} `{kernel['function']}`{file}")
    return lines


def _figures(name: str, report: BenchReport | None) -> list[str]:
    if report is None:
        return ["## Figures", "", "No benchmark of it has been run on a GPU."]
    shown = set(typical_workloads(report))
    columns, rows = table_from_report(report)
    return [
        "## Figures",
        "",
        f"![Time over the time of a copy, of {name} and its peers]({name}.svg)",
        "",
        "One variant and type of each case that is not too small to say something; xN is the time "
        "over the floor, which is the time of a copy of the bytes that must be moved. "
        f"[Benchmarks](../../benchmarks/README.md#{name.lower()}) has all, and how they were "
        "measured.",
        "",
        markdown_from_table(columns, [row for row in rows if tuple(row[:3]) in shown]),
    ]


def _needed(needed: Uses) -> list[str]:
    if not needed:
        return []
    lines = ["## Which models need it", ""]
    for kind, names in needed.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        shown = ", ".join(f"`{one}`" for one in names[:_NAMED])
        lines.append(f"- {kind}: {shown}{more}")
    return lines


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """Return what a plugin's docstring says before its sections, and the sections by title."""
    prose, *rest = re.split(r"^(\w+):(?=\s{2,}\S)", text, flags=re.MULTILINE)
    sections = {
        title: markdown(" ".join(body.split()))
        for title, body in zip(rest[::2], rest[1::2], strict=True)
    }
    return markdown(re.sub(r"^(.* = .*)$", r"`\1`", prose, flags=re.MULTILINE)), sections


def _by_name(text: str, names: Sequence[str]) -> str:
    """Return what a docstring says of inputs or outputs, an item for each; else one paragraph."""
    one = f"(?:{'|'.join(map(re.escape, names))})"
    before, *items = re.split(rf"(?:^|(?<=\. ))((?:{one}, )*{one}):(?= )", text)
    if before.strip() or len(items) < 4:
        return text
    pairs = zip(items[::2], items[1::2], strict=True)
    return "\n".join(f"- `{name.replace(', ', '`, `')}`: {told.strip()}" for name, told in pairs)


def cell(text: str) -> str:
    """Return text for a table's cell."""
    return markdown(text).replace("|", r"\|").replace("\n", " ")


def markdown(text: str) -> str:
    """Return a docstring's text as Markdown."""
    return re.sub(r":\w+:`([^`]*)`", r"`\1`", text).replace("``", "`")
