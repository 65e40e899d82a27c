"""The pages of plugins and rewrites say what their declarations and the benchmarks say."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from pluginkit.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "hooks"))
    return importlib.import_module


def shown(name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["show", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (document,) = [*found["plugins"], *found["rewrites"]]
    return dict(document)


def test_a_plugins_page_has_its_declaration_figures_and_models(
    hooks: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = hooks("model_uses").uses()["ScatterElements_PK"]
    assert needed["models in `examples/models`"] == ["sage_dyn.onnx", "sage_ts.onnx"]
    report = hooks("draw_charts").reports()["ScatterElements"]
    document = shown("ScatterElements", capsys)
    page = hooks("operator_pages").plugin_page(document, report, needed)
    assert (
        "| `output` | T: float32, float16, bfloat16, int64, int32, int8 | that of `data` |" in page
    )
    assert "| `reduction` | `'none'` or `'add'`" in page
    assert "scatter_elements<{T}, {Tind}" in page
    own = report.by_workload()["gnn", "add", "float32"]["pluginkit"]
    assert f"| gnn | add | float32 | {own.floor_us:.0f} | {own.device_us:.0f} " in page
    assert "`test_scatter_elements_with_reduction_max`" in page


def test_a_plugins_report_is_its_general_one_and_has_something_to_draw(hooks: Any) -> None:
    draw_charts = hooks("draw_charts")
    reports = draw_charts.reports()
    assert {case for case, *_ in reports["GridSample"].by_workload()} >= {"image", "volume"}
    assert len(reports) > 5
    assert all(draw_charts.typical_workloads(report) for report in reports.values())


def test_a_page_has_an_item_for_each_output(hooks: Any, capsys: pytest.CaptureFixture[str]) -> None:
    page = hooks("operator_pages").plugin_page(shown("Unique", capsys), None, {})
    lines = page.partition("## Outputs")[2].partition("## Attributes")[0].splitlines()
    assert [line.partition(":")[0] for line in lines if line[:1] == "-"] == [
        "- `Y`",
        "- `indices`, `counts`",
        "- `inverse_indices`",
        "- `found`",
    ]


def test_a_plugin_without_figures_says_so(hooks: Any, capsys: pytest.CaptureFixture[str]) -> None:
    page = hooks("operator_pages").plugin_page(shown("CircPad", capsys), None, {})
    assert "No benchmark of it has been run on a GPU." in page
    assert "Which models need it" not in page


def test_a_rewrites_page_has_its_formula_and_plugin(
    hooks: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    page = hooks("operator_pages").rewrite_page(shown("FuseAddRMSNorm", capsys), {})
    assert "[AddRMSNorm](../plugins/AddRMSNorm.md)" in page
    assert "`--with FuseAddRMSNorm`" in page


def test_a_charts_bars_are_as_long_as_the_times(hooks: Any) -> None:
    groups = [("one", {"pluginkit": 1.0, "peer": 4.0})]
    picture = hooks("draw_charts").bars_svg("a < b", "", ["peer", "pluginkit"], groups)
    assert "a &lt; b" in picture
    assert picture.index("#76b900") < picture.index(">pluginkit<")
    assert 'width="510.0"' in picture  # the longest bar has the room that there is
    assert 'width="127.5"' in picture


def test_the_picture_of_the_parts_has_each_part_and_each_arrow(hooks: Any) -> None:
    draw_parts = hooks("draw_parts")
    picture = draw_parts.diagram_svg()
    arrows = draw_parts.arrows()
    assert picture.count("marker-end") == len(arrows) > 10
    for part in {part for arrow in arrows for part in arrow}:
        assert f">{part}</text>" in picture
