"""The page in a real browser: drawn, searched, opened, without a word on the console."""

import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit.view.graph_document import document_from_model
from pluginkit.view.model_diff import mark_differences
from pluginkit.view.node_status import Verdict
from pluginkit.view.page import page_from_documents
from tests.browser import Browser

pytestmark = pytest.mark.browser

MAIN = "main graph"
HOSTILE = "</script><img src=x onerror=document.title='broken'>"
REFUSED, PLUGIN = (208, 48, 47), (22, 128, 60)  # page.css, light


def tensor(name: str, shape: tuple[Any, ...] = ("n", 4), dtype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(nodes: list[onnx.NodeProto], last: str = "y") -> onnx.ModelProto:
    inputs = [tensor("x"), tensor("c", (), TensorProto.BOOL)]
    graph = helper.make_graph(nodes, "graph", inputs, [tensor(last)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def small(op: str = "Softsign") -> onnx.ModelProto:
    def branch(inner: str) -> onnx.GraphProto:
        node = helper.make_node(inner, ["r"], [f"of_{inner}"], name=f"inside_{inner}")
        return helper.make_graph([node], inner, [], [tensor(f"of_{inner}")])

    return model_of(
        [
            helper.make_node("Relu", ["x"], ["r"], name=HOSTILE),
            helper.make_node(
                "If", ["c"], ["i"], name="if", then_branch=branch("Neg"), else_branch=branch("Abs")
            ),
            helper.make_node(op, ["i"], ["y"], name="last"),
        ]
    )


def large(count: int = 5000) -> onnx.ModelProto:
    random_ = random.Random(0)  # noqa: S311  # reproducible, not secret
    nodes, names = [], ["x"]
    for at in range(count):
        reads = [names[-1], random_.choice([*names[-40:], "x"])]
        nodes.append(helper.make_node("Add", reads, [f"v{at}"], name=f"/layer.{at}/Add"))
        names.append(f"v{at}")
    return model_of(nodes, names[-1])


def write(
    folder: Path,
    *models: onnx.ModelProto,
    verdicts: Mapping[tuple[str, int], Verdict] | None = None,
) -> Path:
    documents = [document_from_model(each, "m.onnx", verdicts or {}) for each in models]
    if len(documents) == 2:
        mark_differences(*documents)
    page = folder / "page.html"
    page.write_text(page_from_documents(documents), encoding="utf-8")
    return page


def drawn(browser: Browser, pane: int = 0) -> int:
    browser.settle()
    return int(
        browser.ask(f"document.querySelectorAll('#panes section')[{pane}].firstChild.dataset.drawn")
    )


def said(browser: Browser) -> str:
    return str(browser.ask("document.querySelector('#said').textContent"))


def panel(browser: Browser) -> str:
    return str(browser.ask("document.querySelector('#panel').innerText"))


def pixels(browser: Browser, colour: tuple[int, int, int]) -> int:
    """How many pixels of the first graph have one colour, exactly."""
    browser.settle()
    return int(
        browser.ask(
            f"""(([r, g, b]) => {{
                const canvas = document.querySelector('#panes canvas');
                const copy = document.createElement('canvas').getContext('2d');
                Object.assign(copy.canvas, {{ width: canvas.width, height: canvas.height }});
                copy.drawImage(canvas, 0, 0);
                const {{ data }} = copy.getImageData(0, 0, canvas.width, canvas.height);
                let found = 0;
                for (let at = 0; at < data.length; at += 4)
                    found += data[at] === r && data[at + 1] === g && data[at + 2] === b;
                return found;
            }})({list(colour)})"""
        )
    )


def search(browser: Browser, text: str) -> None:
    browser.ask("document.querySelector('#panes canvas').focus()")
    browser.press("/")
    browser.type(text)
    browser.press("Enter")


@pytest.fixture(autouse=True)
def silent(browser: Browser) -> Any:
    """Nothing on the console, no exception, nothing loaded but the page and what it saves."""
    browser.problems.clear()
    browser.requests.clear()
    yield
    assert browser.problems == []
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "data", "blob"}
    assert len([url for url in browser.requests if url.startswith("file")]) == 1


def test_every_node_is_drawn_in_the_colour_of_its_status(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path, small()))
    assert drawn(browser) == 3
    assert pixels(browser, REFUSED) == pixels(browser, PLUGIN) == 0
    verdicts = {(MAIN, 0): Verdict("plugin", "a plugin"), (MAIN, 2): Verdict("refused", "no way")}
    browser.requests.clear()
    browser.open(write(tmp_path, small(), verdicts=verdicts))
    assert drawn(browser) == 3
    assert pixels(browser, REFUSED) > 50
    assert pixels(browser, PLUGIN) > 50


def test_search_goes_to_a_node_and_the_panel_says_why(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path, small(), verdicts={(MAIN, 2): Verdict("refused", "no way")}))
    search(browser, "last")
    assert said(browser) == "Softsign last, Refused"
    assert "no way" in panel(browser)
    assert "float32[n×4]" in panel(browser)
    search(browser, "nowhere at all")
    assert browser.ask("document.querySelector('#found').textContent") == "0"


def test_a_body_opens_and_closes_in_place(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path, small()))
    search(browser, "if")
    browser.ask("document.querySelector('#panes canvas').focus()")
    browser.press("o")
    browser.press("f")
    assert drawn(browser) == 5
    browser.press("o")
    assert drawn(browser) == 3


def test_search_opens_what_hides_a_node(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path, small()))
    search(browser, "inside_Abs")
    assert said(browser) == "Abs inside_Abs, Not asked"
    assert drawn(browser) == 5


def test_a_click_selects_and_arrows_walk(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path, small()))
    search(browser, "last")
    middle = browser.ask(
        "(box => [box.x + box.width / 2, box.y + box.height / 2])"
        "(document.querySelector('#panes canvas').getBoundingClientRect())"
    )
    browser.ask("document.querySelector('#panes canvas').focus()")
    browser.press("Escape", 27)
    assert said(browser) == ""
    browser.click(*middle)  # where the search has put it
    assert said(browser) == "Softsign last, Not asked"
    browser.press("ArrowUp", 38)
    assert said(browser) == "If if, Not asked"
    browser.press("ArrowDown", 40)
    assert said(browser) == "Softsign last, Not asked"


def test_text_of_a_model_stays_text(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path, small()))
    search(browser, "onerror")
    assert HOSTILE in panel(browser)
    assert browser.ask("document.querySelectorAll('img').length") == 0
    assert browser.ask("document.title") == "m.onnx"


def test_two_models_are_shown_side_by_side(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path, small(), small("Softplus")))
    assert (drawn(browser, 0), drawn(browser, 1)) == (3, 3)
    assert "Changed or gone\n1" in panel(browser).replace("\n\n", "\n")
    search(browser, "Softsign")
    browser.ask("document.querySelector('#panes canvas').focus()")
    browser.press("x")
    assert said(browser) == "Softplus last, Not asked"
    browser.press("1")
    assert browser.ask("document.querySelectorAll('#panes section')[1].hidden") is True


def test_5000_nodes_are_drawn_and_found_but_only_those_in_sight(
    browser: Browser, tmp_path: Path
) -> None:
    browser.open(write(tmp_path, large(), verdicts={(MAIN, 4321): Verdict("refused", "no way")}))
    assert 3 < drawn(browser) < 100
    browser.ask("document.querySelector('#panes canvas').focus()")
    browser.press("Escape", 27)
    assert "5,000 nodes" in panel(browser)
    search(browser, "/layer.2500/")
    assert said(browser) == "Add /layer.2500/Add, Not asked"
    assert 3 < drawn(browser) < 100
    browser.ask("document.querySelector('#panes canvas').focus()")
    browser.press("n")
    assert said(browser) == "Add /layer.4321/Add, Refused"
    browser.press("f")
    assert drawn(browser) > 20
    assert browser.ask("Number(document.body.dataset.frame)") < 500  # milliseconds


def test_a_page_opens_at_the_first_refused_node_with_its_next_step(
    browser: Browser, tmp_path: Path
) -> None:
    refused = Verdict("refused", "no way", "pluginkit new MyAdd --onnx-op Add")
    verdicts = {(MAIN, 17): Verdict("plugin"), (MAIN, 4321): refused, (MAIN, 4900): refused}
    browser.open(write(tmp_path, large(), verdicts=verdicts))
    assert "/layer.4321/Add" in panel(browser)
    assert "pluginkit new MyAdd --onnx-op Add" in panel(browser)
    assert pixels(browser, REFUSED) > 50
    browser.ask("document.querySelector('#panes canvas').focus()")
    browser.press("n")
    assert said(browser) == "Add /layer.4900/Add, Refused"


def test_a_model_that_is_shown_later_opens_at_its_node_too(
    browser: Browser, tmp_path: Path
) -> None:
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=800,
        height=700,
        deviceScaleFactor=1,
        mobile=False,
    )
    verdicts = {(MAIN, 2): Verdict("plugin", "a plugin")}
    browser.open(write(tmp_path, small(), small("Softplus"), verdicts=verdicts))
    assert panel(browser).startswith("Softsign")
    browser.ask("document.querySelector('#panes canvas').focus()")
    browser.press("2")
    assert panel(browser).startswith("Softplus")
    assert drawn(browser, 1) == 3
    browser.call("Emulation.clearDeviceMetricsOverride")


def test_a_link_names_a_node(browser: Browser, tmp_path: Path) -> None:
    page = write(tmp_path, small(), small("Softplus"))
    browser.open(page)
    browser.ask("location.hash = '#node=inside_Abs&model=after'")
    browser.until("document.querySelector('#said').textContent !== ''")
    assert said(browser) == "Abs inside_Abs, Not asked"
    assert browser.ask("document.querySelectorAll('section')[1].className") == "active"
    search(browser, "Softplus")
    link = browser.ask("document.querySelector('#panel .actions a').getAttribute('href')")
    assert link == browser.ask("location.hash") == "#node=last&model=after"
    browser.ask("location.hash = '#node=r'")  # an output; two bodies read it, one node makes it
    browser.until("document.querySelector('#said').textContent.startsWith('Relu')")


def test_two_nodes_of_one_name_have_links_of_their_own(browser: Browser, tmp_path: Path) -> None:
    model = small()
    model.graph.node[2].name = "if"
    browser.open(write(tmp_path, model))
    search(browser, "Softsign")
    assert browser.ask("location.hash") == "#node=0%2F2"
    browser.ask("location.hash = '#node=0/1'")
    browser.until("document.querySelector('#said').textContent.startsWith('If')")


def test_the_whole_graph_fits_in_both_panes(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path, large(300), large(200)))
    assert drawn(browser, 0) < 100
    browser.ask("document.querySelector('#panes canvas').focus()")
    browser.press("f")
    assert (drawn(browser, 0), drawn(browser, 1)) == (300, 200)


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_graph_is_saved(browser: Browser, tmp_path: Path, kind: str) -> None:
    browser.open(write(tmp_path, small(), verdicts={(MAIN, 2): Verdict("refused", "no way")}))
    browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.ask(f"document.querySelector('#{kind}').click()")
    saved = tmp_path / f"m.{kind}"
    deadline = time.monotonic() + 20
    while not saved.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if kind == "png":
        assert saved.read_bytes().startswith(b"\x89PNG")
        return
    picture = ElementTree.parse(saved)  # noqa: S314  # our own file
    texts = [one.text for one in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {HOSTILE[-20:], "If", "Softsign", "✕", "x", "y"} <= {(one or "")[-20:] for one in texts}


def test_light_and_dark(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path, small()))
    light = browser.ask("getComputedStyle(document.body).backgroundColor")
    browser.press("t")
    dark = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert (light, dark) == ("rgb(247, 248, 250)", "rgb(18, 22, 29)")
    assert pixels(browser, (18, 22, 29)) > 10_000
