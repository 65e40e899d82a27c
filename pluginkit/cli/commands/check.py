"""Check everything about a plugin that can be checked on this machine.

Exit code 1 when a check fails. A check that cannot run says what is missing, and never counts as
passed.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from pluginkit.cli import options
from pluginkit.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("name", nargs="?", help="a plugin's class or plugin_name, in any case")
    parser.add_argument(
        "--only",
        metavar="CHECK",
        nargs="+",
        action="extend",
        help="run these checks only, as in --only reference,compile",
    )
    parser.add_argument(
        "--script",
        type=Path,
        metavar="FOLDER",
        help="write a Python script that reproduces it, for each failure",
    )
    parser.add_argument(
        "--sanitize",
        action="store_true",
        help="run all cases on the PTX machine, in several orders, whatever time it takes",
    )
    parser.add_argument(
        "--list", action="store_true", help="say what each check proves, and what it does not"
    )
    options.add_discovery(parser, rewrites=False)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Check one plugin, or list the checks."""
    from pluginkit.cli.terminal_output import print_json, print_line

    if args.list:
        return _list(args)
    if args.name is None:
        raise UsageError("PK611", "no plugin is named; expected one.", fix="see pluginkit list.")
    from pluginkit.cli.found_classes import plugins_of
    from pluginkit.contract.plugin_names import plugin_named
    from pluginkit.testing import plugincheck

    plugin = plugin_named(args.name, plugins_of(args))
    only = [name for given in args.only or () for name in given.split(",") if name] or None
    report = plugincheck(plugin, only=only, sanitize=args.sanitize)
    if args.json:
        print_json(
            {"plugin": report.plugin, "results": list(map(dataclasses.asdict, report.results))}
        )
    else:
        for line in str(report).split("\n"):
            print_line(line)
    if args.script is not None:
        for path in report.write_scripts(args.script):
            print_line(f"wrote {path}", stderr=True)
    return int(report.has_failures)


def _list(args: argparse.Namespace) -> int:
    from pluginkit.checking.check import all_checks
    from pluginkit.cli.terminal_output import print_json, print_line

    if args.json:
        print_json({name: one.doc for name, one in all_checks().items()})
        return 0
    for name, one in all_checks().items():
        print_line(name)
        for line in one.doc.split("\n"):
            print_line(f"    {line}".rstrip())
    return 0
