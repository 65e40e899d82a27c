"""Find the line of an author's file on which a text begins that is written inside the file."""

from __future__ import annotations

import ast
import functools
from pathlib import Path


@functools.cache
def first_line_of(path: Path, text: str) -> int | None:
    """Return the line of a Python file on which the first line of a string literal stands.

    None if the file cannot be read, or has no such literal: the text was made another way.
    """
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value == text:
            begin = source.splitlines()[node.lineno - 1].encode()[node.col_offset :].decode()
            is_continued = begin.rstrip("\n").endswith(('"""\\', "'''\\"))
            return node.lineno + is_continued
    return None
