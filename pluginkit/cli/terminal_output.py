"""Print reports to stdout; notices, progress and errors to stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def printable(text: str) -> str:
    """Return ``text`` with control characters escaped, so that no file name drives the terminal."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def print_json(document: Any) -> None:
    """Print a report as JSON."""
    sys.stdout.write(json_text(document))


def json_text(document: Any) -> str:
    """Return a report as JSON. NaN and infinity become text, since JSON has neither."""
    return json.dumps(_finite(document), indent=2, default=str) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints text unchanged: no markup in brackets, no ``:x:`` emoji."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def print_line(text: str, *, stderr: bool = False) -> None:
    """Print one line, never folded."""
    console(stderr=stderr).print(printable(text), soft_wrap=True)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table to stdout. Long cells are folded, never cut; nameless columns have no head."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_header=any(columns))
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        cells = ("\n".join(map(printable, str(cell).split("\n"))) for cell in row)
        table.add_row(*(Text(cell) for cell in cells))
    print_line(title)
    console().print(table)
