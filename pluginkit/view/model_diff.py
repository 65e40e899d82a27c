"""Mark the differences between two models on their nodes, each with its counterpart."""

from __future__ import annotations

from typing import Any


def mark_differences(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Set ``differs`` and ``twin`` on the nodes of two documents.

    A node differs when the other model's scope of the same path has no node that is equal to it in
    operator, inputs, outputs, attributes and bodies' names. Its twin is the node there that
    produces the same output: (scope, position).

    Args:
        before: a document of document_from_model; changed in place.
        after: another.
    """
    for document, other in ((before, after), (after, before)):
        equals = {_key(scope, node) for scope in other["scopes"] for node in scope["nodes"]}
        producers = {
            (scope["path"], name): [number, position]
            for number, scope in enumerate(other["scopes"])
            for position, node in enumerate(scope["nodes"])
            for name in node["outputs"]
            if name
        }
        for scope in document["scopes"]:
            for node in scope["nodes"]:
                node["differs"] = _key(scope, node) not in equals
                names = ((scope["path"], name) for name in node["outputs"])
                node["twin"] = next((producers[one] for one in names if one in producers), None)


def _key(scope: dict[str, Any], node: dict[str, Any]) -> tuple[object, ...]:
    return (
        scope["path"],
        node["op"],
        node["domain"],
        *(tuple(node[field]) for field in ("inputs", "outputs")),
        tuple(sorted(map(tuple, node["attributes"]))),
    )
