"""Explain an error code: what it means and what to do.

A code of pluginkit is a row of docs/errors.md. A code of a plugin, such as GridSample/empty, is
explained by the docstring of the plugin.
"""

from __future__ import annotations

import argparse
import inspect
import re
from pathlib import Path

import pluginkit
from pluginkit.cli import options
from pluginkit.errors import UsageError

_ROW = re.compile(r"^\| (PK\d+) \| (.*) \| (.*) \|$", re.MULTILINE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("code", help="as an error prints it: PK424, or GridSample/empty")
    options.add_discovery(parser, rewrites=False)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Print what the code means."""
    from pluginkit.cli.terminal_output import print_json, print_line

    if "/" in args.code:
        code, meaning, fix = args.code, _plugins_meaning(args), ""
    else:
        code = args.code.upper()
        meaning, fix = _pluginkits_meaning(code)
    if args.json:
        print_json({"code": code, "meaning": meaning, "fix": fix})
        return 0
    print_line(f"{code}: {meaning}.")
    if fix:
        print_line(f"  Fix: {fix}.")
    return 0


def error_page() -> Path:
    """Return the path of errors.md: inside an installed package, or in a checkout's docs/."""
    package = Path(pluginkit.__file__).parent
    inside = package / "docs" / "errors.md"
    return inside if inside.is_file() else package.parent / "docs" / "errors.md"


def _pluginkits_meaning(code: str) -> tuple[str, str]:
    rows = {row[0]: row[1:] for row in _ROW.findall(error_page().read_text())}
    if code not in rows:
        raise UsageError(
            "PK611",
            f"there is no error code '{code}'; there are {len(rows)}, from {min(rows)} on.",
            fix="give the first word of an error's text, as in PK424 or GridSample/empty.",
        )
    meaning, fix = (cell.replace(r"\|", "|") for cell in rows[code])
    return meaning, fix


def _plugins_meaning(args: argparse.Namespace) -> str:
    from pluginkit.cli.found_classes import plugins_of
    from pluginkit.contract.plugin_names import plugins_named, unknown_name

    name, _, short = args.code.partition("/")
    plugins = plugins_of(args)
    found = plugins_named(name, plugins)
    if not found:
        raise unknown_name("plugin", name, [one.__name__ for one in plugins.values()])
    documented = _documented_codes(found[0])
    if short not in documented:
        raise unknown_name(f"error code of {name}", short, documented)
    return documented[short]


def _documented_codes(plugin: type[pluginkit.Plugin]) -> dict[str, str]:
    """Return the sentences under "Errors:" in a plugin's docstring, ``name: what is wrong.``."""
    section = re.search(
        r"^Errors:\s+(.*?)(?=^\w+:|\Z)", inspect.getdoc(plugin) or "", re.MULTILINE | re.DOTALL
    )
    text = " ".join(section[1].split()) if section else ""
    return dict(re.findall(r"(?:^|\. )([a-z_]+): (.*?)(?=\. [\w]+[: ]|\.?$)", text))
