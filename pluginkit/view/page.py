"""Assemble one HTML page from the data, the style and the script.

All text of a model is data in a JSON block in which no character can end the block; the script puts
it on the page as text alone. The page's own policy allows no other script and no connection.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

#: In the order in which each may use what is above it.
_SCRIPTS = ("layout.js", "index.js", "paint.js", "pane.js", "panel.js", "picture.js", "main.js")


def page_from_documents(documents: Sequence[dict[str, Any]]) -> str:
    """Return the page.

    Args:
        documents: one of document_from_model, or two, before and after, which mark_differences has
            compared.
    """
    style = _asset("page.css")
    script = "(() => {\n'use strict';\n" + "\n".join(map(_asset, _SCRIPTS)) + "})();\n"
    parts = {
        "policy": f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}",
        "title": html.escape(" → ".join(document["name"] for document in documents)),
        "style": style,
        "script": script,
        "data": _json({"models": documents}),
    }
    page = _asset("page.html")
    pieces = page.split("{{")
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
