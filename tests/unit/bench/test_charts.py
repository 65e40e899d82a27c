from html.parser import HTMLParser

import pytest

from pluginkit.bench.charts import html_from_report, png_from_report

pytest.importorskip("matplotlib", reason="matplotlib, of the extra bench, is not installed")

VOID = {"meta", "img"}


class Nesting(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.images = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in VOID
        self.images += [dict(attrs)["src"]] if tag == "img" else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing(report):
    page = html_from_report(report)
    parser = Nesting()
    parser.feed(page)
    assert parser.open == []
    assert [image[:22] for image in parser.images] == ["data:image/png;base64,"]
    for loader in ("http:", "https:", "<script", "<link", "url(", "@import", "//"):
        assert loader not in page.replace(parser.images[0], "")


def test_the_page_escapes_names(report):
    page = html_from_report(report)
    assert "torch &lt;eager&gt;" in page
    assert "<eager>" not in page


def test_the_picture_is_a_png(report):
    picture = png_from_report(report)
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(picture) > 10_000
