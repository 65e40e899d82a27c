"""Fill an HTML page with its style, script and data, so that it needs nothing else.

All text of the data is in a JSON block in which no character can end the block; the script puts it
on the page as text alone. The page's own policy allows no other script and no connection.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any


def offline_page(
    template: str, style: str, scripts: Sequence[str], *, title: str, data: dict[str, Any]
) -> str:
    """Return the page.

    Args:
        template: the name of the HTML file among the assets.
        style: the name of its CSS file.
        scripts: the names of its scripts, in the order in which each may use what is above it.
        title: its title.
        data: what the scripts draw.
    """
    css = _asset(style)
    script = "(() => {\n'use strict';\n" + "\n".join(map(_asset, scripts)) + "})();\n"
    parts = {
        "policy": f"default-src 'none'; img-src data:; style-src {_hash(css)}; "
        f"script-src {_hash(script)}",
        "title": html.escape(title),
        "style": css,
        "script": script,
        "data": _json(data),
    }
    pieces = _asset(template).split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += [parts[name], rest]
    return "".join(filled)


def _asset(name: str) -> str:
    file = resources.files("pluginkit.view.assets").joinpath(name)
    return file.read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(document: Any) -> str:
    """Return JSON in ASCII without ``<``, so that no name ends the script or opens a comment."""
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
