"""What docs/kernels-on-a-cpu.md shows is what its code prints."""

from __future__ import annotations

import contextlib
import io
import re
import typing
from pathlib import Path

from pluginkit.ptx import Kind

PAGE = Path(__file__).parents[2] / "docs" / "kernels-on-a-cpu.md"
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.S)


def printed_by(blocks: list[tuple[str, str]]) -> list[str]:
    """What each block prints; later ones use the names of earlier ones."""
    found, names = [], {"__name__": "page"}
    for code, _ in blocks:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, PAGE.name, "exec"), names)  # noqa: S102  # our own page
        found.append(output.getvalue())
    return found


def test_the_page_shows_what_is_printed() -> None:
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) == 4
    for (_, shown), printed in zip(blocks, printed_by(blocks), strict=True):
        assert shown == printed


def test_the_page_lists_every_kind_of_finding() -> None:
    listed = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE.read_text(), re.M)))
    assert sorted(listed) == sorted(typing.get_args(Kind))
