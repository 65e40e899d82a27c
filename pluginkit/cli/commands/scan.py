"""Ask TensorRT what it takes of a model, what the rewrites cover, and what is left.

TensorRT's own parser reads the model before and after the rewrites, in a separate process. Every
refused node is found, in bodies and local functions too, with the parser's reason. The exit code
is 1 when something is left. No GPU is needed.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.cli import options
from pluginkit.quantities import counted

if TYPE_CHECKING:
    from pluginkit.engine.scan.scan_report import NodeReport, ScanReport

#: Nodes that a table's row names; a model may have thousands.
_NAMED = 8
#: The statuses of nodes that rewrites replace.
_REPLACED = ("folded", "rewritten")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("model", type=Path, help="the ONNX model")
    options.add_choice(parser)
    parser.add_argument("--all", action="store_true", help="list every node")
    parser.add_argument(
        "--build",
        action="store_true",
        help="also build what parses, to find nodes that parse but do not build",
    )
    options.add_shapes(parser, ", for what rewrites know and for --build")
    options.add_compute_capability(
        parser, "a GPU to build for with --build, as in 8.9", "one that fits"
    )
    options.add_flavour(parser)
    options.add_discovery(parser)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Scan a model; 1 when something is left."""
    from pluginkit.cli.found_classes import choice_of, plugins_of, rewrites_of
    from pluginkit.cli.terminal_output import print_json
    from pluginkit.engine.scan.scan_model import scan
    from pluginkit.onnx.inference.shape_ranges import parse_shapes

    report = scan(
        args.model,
        plugins=plugins_of(args),
        rewrites=rewrites_of(args),
        choice=choice_of(args),
        flavour=args.tensorrt,
        build=args.build,
        shapes=parse_shapes(args.shapes),
        compute_capabilities=options.compute_capabilities(args),
    )
    if args.json:
        print_json(_document(report))
    else:
        _print_report(report, lists_all=args.all)
    return 0 if report.is_accepted else 1


def _document(report: ScanReport) -> dict[str, object]:
    return {
        "model": report.model,
        "target": str(report.target),
        "is_accepted": report.is_accepted,
        "is_built": report.is_built,
        "build_note": report.build_note,
        "counts": report.counts(),
        "ops": [
            {"op_type": op, "status": status, "nodes": count}
            for (op, status), count in _by_op(report.before).items()
        ],
        "nodes": list(map(_fields, report.before)),
        "left": list(map(_fields, report.left)),
        "problems": report.problems,
        "next": _commands(report),
        "retired": report.rewrite.retired,
        "opt_in": report.rewrite.opt_in,
        "seconds": round(report.seconds, 3),
    }


def _fields(one: NodeReport) -> dict[str, object]:
    return {**dataclasses.asdict(one.node), **dataclasses.asdict(one), "node": one.node.label}


def _by_op(reports: Iterable[NodeReport]) -> Counter[tuple[str, str]]:
    return Counter((one.node.op_type, one.status) for one in reports)


def _print_report(report: ScanReport, *, lists_all: bool) -> None:
    from pluginkit.cli.terminal_output import print_line, print_table

    columns = ("node", "where", "status", "")
    if lists_all:
        rows = [(one.node.title, one.node.where, one.status, _remark(one)) for one in report.before]
        print_table("Nodes", columns, rows)
    else:
        print_table("Operators", ("op_type", "nodes", "status", ""), _op_rows(report.before))
    if report.left:
        print_table("Left", ("op_type", "nodes", "", "reason"), _left_rows(report))
    for command in _commands(report):
        print_line(f"To begin a plugin: {command}")
    for text, count in Counter(
        one.reason for one in report.before if one.status in ("native", "plugin") and one.reason
    ).items():
        print_line(f"{count} {'node is' if count == 1 else 'nodes are'} taken only {text}.")
    for problem in report.problems:
        for line in f"{report.target} also says: {problem}".splitlines():
            print_line(line)
    print_line(_sentence(report))


def _op_rows(reports: Iterable[NodeReport]) -> Iterator[tuple[object, ...]]:
    groups = Counter[tuple[str, str, str]](
        (one.status, one.node.op_type, _remark(one) if one.status in _REPLACED else "")
        for one in reports
    )
    order = ("refused", "unknown", "rewritten", "folded", "plugin", "native")
    for key in sorted(groups, key=lambda key: (order.index(key[0]), key)):
        status, op_type, remark = key
        yield op_type, groups[key], status, remark


def _remark(one: NodeReport) -> str:
    if one.status not in _REPLACED:
        return _reason(one)
    by = ", ".join(one.rewrites) or "another node's rewrite"
    return f"{by} -> {', '.join(one.made) or 'nothing'}"


def _reason(one: NodeReport) -> str:
    return f"parses, and does not build: {one.reason}" if one.stage == "builder" else one.reason


def _left_rows(report: ScanReport) -> Iterator[tuple[object, ...]]:
    """Return a row for each operator and reason, with the nodes and why no rewrite took them."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in report.left:
        declined = [
            f"{each.rewrite} leaves it: {each.reason}"
            for each in report.rewrite.refused
            if each.place == one.node.place
        ]
        key = one.node.op_type, "\n".join([_reason(one), *declined])
        names = groups.setdefault(key, [])
        is_main = one.node.where == "main graph"
        names.append(one.node.label if is_main else f"{one.node.label} in {one.node.where}")
    for (op_type, reason), names in groups.items():
        more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
        yield op_type, len(names), "\n".join([*names[:_NAMED], *more]), reason


def _commands(report: ScanReport) -> list[str]:
    """Return the commands that begin a plugin for each operator that the parser refuses."""
    from pluginkit.engine.parse.parse_model import new_plugin_command

    nodes = [one.node for one in report.left if one.stage == "parser" and not one.is_beyond_plugins]
    first = {(node.op_type, node.domain): node for node in reversed(nodes)}
    return [
        new_plugin_command(*key, report.model, first[key].label)
        for key in dict.fromkeys((node.op_type, node.domain) for node in nodes)
    ]


def _sentence(report: ScanReport) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in report.counts().items() if count)
    total = len(report.before)
    text = f"{report.model.name}, {counted(total, 'node')}, {report.target}: {counts}."
    if report.left:
        text += f" After the rewrites {len(report.left)} left."
    elif not report.problems:
        text += " Nothing is left."
    if report.is_built is not None:
        text += " What parses builds." if report.is_built else " What parses does not build."
    elif report.build_note:
        note = " ".join(report.build_note.split())
        text += f" Its nodes were built alone, not the model: {note}"
    elif not report.left:
        text += " Nothing was built: --build finds what parses and does not build."
    return text
