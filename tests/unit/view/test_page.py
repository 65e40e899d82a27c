"""One page, in which nothing of a model is more than text."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import onnx
from onnx import TensorProto, helper

from pluginkit.view.graph_document import document_from_model
from pluginkit.view.page import page_from_documents

HOSTILE = "</script><script>alert(1)</script><!-- \"'&\u2028{{data}}\x1b"


class Tags(HTMLParser):
    """The tags of a page with their attributes, and the text inside its title and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"title": [], "style": [], "script": []}
        self._inside: str | None = None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag if tag in self.texts else None
        if self._inside:
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[self._inside][-1] += data


def hostile_document() -> dict[str, Any]:
    node = helper.make_node("Relu", ["x"], ["y"], name=HOSTILE, note=HOSTILE, doc_string=HOSTILE)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [HOSTILE]) for name in "xy"]
    graph = helper.make_graph([node], HOSTILE, ends[:1], ends[1:])
    model = helper.make_model(graph, producer_name=HOSTILE)
    onnx.helper.set_model_props(model, {HOSTILE: HOSTILE})
    return document_from_model(model, HOSTILE, {}, [HOSTILE])


def test_no_text_of_a_model_ends_its_block() -> None:
    page = Tags(page_from_documents([hostile_document()]))
    kinds = [attributes.get("type") for tag, attributes in page.tags if tag == "script"]
    assert kinds == ["application/json", None]
    data, _ = page.texts["script"]
    assert "<" not in data
    (model,) = json.loads(data)["models"]
    assert model["scopes"][0]["nodes"][0]["name"] == HOSTILE
    assert page.texts["title"] == [HOSTILE]


def test_the_page_loads_nothing() -> None:
    text = page_from_documents([hostile_document()])
    page = Tags(text)
    links = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "action", "srcset")
    ]
    assert links == ["data:,"]
    script = page.texts["script"][1].replace('"http://www.w3.org/2000/svg"', "")  # a namespace
    assert not re.search(r"https?://|url\(|@import|\bimport\b|fetch\(|XMLHttp", script)
    assert not re.search(r"https?://|url\(|@import", page.texts["style"][0])


def test_the_policy_allows_its_own_script_and_style_alone() -> None:
    page = Tags(page_from_documents([hostile_document()]))
    policies = [
        attributes["content"]
        for tag, attributes in page.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    style, script = digest(page.texts["style"][0]), digest(page.texts["script"][1])
    assert policies == [
        f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; "
        f"script-src 'sha256-{script}'"
    ]


def test_the_script_writes_no_markup() -> None:
    script = Tags(page_from_documents([hostile_document()])).texts["script"][1]
    assert "textContent" in script
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)
