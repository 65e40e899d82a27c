"""Assemble the page that draws a model, or two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pluginkit.view.offline_page import offline_page

#: In the order in which each may use what is above it.
_SCRIPTS = ("layout.js", "index.js", "paint.js", "pane.js", "panel.js", "picture.js", "main.js")


def page_from_documents(documents: Sequence[dict[str, Any]]) -> str:
    """Return the page.

    Args:
        documents: one of document_from_model, or two, before and after, which mark_differences has
            compared.
    """
    title = " → ".join(document["name"] for document in documents)
    data = {"models": documents}
    return offline_page("page.html", "page.css", _SCRIPTS, title=title, data=data)
