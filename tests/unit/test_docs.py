"""The documentation says what the code says."""

import json
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluginkit import find_plugins, find_rewrites, float16
from pluginkit.checking.check import all_checks
from pluginkit.cli.main import COMMANDS
from pluginkit.contract import calls
from pluginkit.kernels.compile import compile_launches
from tests.docs.pages import assert_prints, blocks_of

ROOT = Path(__file__).parents[2]
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text()
SOURCES = [
    path
    for folder in ("pluginkit", "plugins", "graph_rewrites")
    for path in (ROOT / folder).rglob("*.py")
]


def test_every_error_code_is_explained_and_no_other() -> None:
    raised = {code for path in SOURCES for code in re.findall(r'"(PK\d{3})"', path.read_text())}
    exported = (ROOT / "pluginkit" / "export").glob("[rg]*/*.cpp")  # runtime and generate
    raised |= {code for path in exported for code in re.findall(r'"(PK\d{3}) ', path.read_text())}
    explained = re.findall(r"^\| (PK\d{3}) \|", (ROOT / "docs" / "errors.md").read_text(), re.M)
    assert len(raised) > 100
    assert sorted(raised) == explained


def test_the_code_of_a_removed_error_is_not_given_away_again() -> None:
    sections = re.split(r"^###? ", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
    removed = {
        code
        for section in sections
        if section.startswith("Removed")
        for code in re.findall(r"PK\d{3}", section)
    }
    assert removed >= {"PK340", "PK341"}
    explained = (ROOT / "docs" / "errors.md").read_text()
    assert not [code for code in removed if f"| {code} |" in explained]


def test_the_changelog_has_the_headings_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^### (.*)$", text, re.M)
    assert {"Added", "Changed"} <= set(headings) <= {"Added", "Changed", "Fixed", "Removed"}
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        assert len(set(found := re.findall(r"^### (.*)$", section, re.M))) == len(found)


def test_the_readme_names_files_that_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert len(links) >= 5
    for link in links:
        assert (ROOT / link).exists(), link


def test_the_readme_has_the_command_that_ci_runs() -> None:
    assert (ROOT / ".ci/run").read_text().count("grep -m1 -F '&& pytest' README.md") == 1
    (line,) = re.findall(r"^pip install .* && pytest$", (ROOT / "README.md").read_text(), re.M)
    assert "[test]" in line


def test_the_first_output_is_the_one_that_its_page_is_tested_with() -> None:
    readme, index = (
        next(block.text for block in blocks_of(ROOT / page) if block.language == "text")
        for page in ("README.md", "docs/index.md")
    )
    assert_prints(index, readme)


def test_the_pages_plugin_is_valid() -> None:
    namespace: dict[str, Any] = {"__name__": "page"}
    (block,) = (each for each in blocks_of(ROOT / "docs/write-a-plugin.md") if each.title)
    exec(compile(block.text, block.title, "exec"), namespace)  # noqa: S102  # our own page
    scale = namespace["Scale"]
    x = np.ones((2, 3), np.float16)
    (y,) = calls.run_reference(scale(factor=2.5), [x])
    assert (y == 2.5).all()
    inputs = calls.describe_inputs(scale(), [x.shape], [float16])
    (compiled,) = compile_launches(scale(), inputs, calls.describe_outputs(scale(), inputs), "80")
    assert compiled.cubin.startswith(b"\x7fELF")


def test_every_plugin_and_every_choice_is_on_the_page_of_what_ships() -> None:
    page = (ROOT / "docs" / "what-ships.md").read_text()
    plugins, chosen = page.split("## Plugins that are chosen")
    named = set(re.findall(r"^\| `(\w+)` \|", plugins, re.M))
    assert named == {cls.__name__ for cls in find_plugins().values()}
    rows = "".join(re.findall(r"^\| (`[A-Z].*?) \|", chosen, re.M))
    opt_in = {cls.__name__ for cls in find_rewrites() if cls.opt_in}
    assert opt_in == set(re.findall(r"`(\w+)`", rows)) > {"ReduceSegments"}


def test_every_page_has_a_place_in_the_sites_menu_and_every_how_to_on_its_first_page() -> None:
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    menu = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))
    first = set(re.findall(r"\]\((how-to/[\w-]+\.md)\)", (ROOT / "docs/index.md").read_text()))
    assert len(pages) > 30
    assert pages - menu == set()
    assert {page for page in pages if page.startswith("how-to/")} - first == set()


def test_every_command_is_on_the_page_of_commands() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    listed = "".join(re.findall(r"^\| (.*?) \|", page, re.M))
    assert set(re.findall(r"`pluginkit (\w+)", listed)) == set(COMMANDS)


def test_the_readmes_chart_is_drawn_from_the_results() -> None:
    script = "import draw_pictures; print(draw_pictures.benchmark_svg(), end='')"
    command = [sys.executable, "-c", script]
    drawn = subprocess.check_output(command, cwd=ROOT / "docs" / "hooks", text=True)
    assert drawn == (ROOT / "docs" / "pictures" / "benchmark.svg").read_text()


@pytest.mark.parametrize("page", ["README.md", "docs/performance.md"])
def test_the_medians_over_distributions_are_those_of_the_benchmarks(page: str) -> None:
    text = " ".join((ROOT / page).read_text().split())
    medians = {}
    for name, cases in (("elements", "graphs"), ("cells", "scatters of single elements")):
        over: dict[str, list[float]] = {}
        results = json.loads((ROOT / f"benchmarks/results/uneven_scatter_{name}.json").read_text())
        for each in results["results"]:
            if (each["variant"], each["dtype"], each["status"]) == ("add", "float32", "ok"):
                times = over.setdefault(each["case"], [])
                times.append(each["device_us"] / each["floor_us"])
        own = statistics.median(times[0] for times in over.values())
        fastest = statistics.median(min(times[1:]) for times in over.values())
        medians[cases] = len(over), f"{own:.2f}", f"{fastest:.2f}"
    counts = {"ten": 10, "eight": 8}
    count, own, fastest = re.search(
        r"over (\w+) graphs ScatterElements takes a median of ([\d.]+) .*?in each ([\d.]+) times",
        text,
        re.I,
    ).groups()
    assert (counts[count], own, fastest) == medians["graphs"]
    if page == "README.md":
        count, own, fastest = re.search(
            r"over (\w+) scatters of single elements ([\d.]+) and ([\d.]+) times", text
        ).groups()
        assert (counts[count], own, fastest) == medians["scatters of single elements"]


def test_the_picture_of_a_check_has_every_check() -> None:
    picture = (ROOT / "docs/pictures/check.svg").read_text()
    for name in all_checks():
        assert f"{name}:" in picture, f"draw it again: docs/hooks/draw_pictures.py ({name})"


def test_the_figures_are_those_of_the_benchmarks() -> None:
    results = json.loads((ROOT / "benchmarks/results/scatter_elements.json").read_text())["results"]
    rows = re.findall(
        r"^\| (\w*)[^|]*\| (float\d+) \|((?: [\d.]+ \|){5})$",
        PERFORMANCE,
        re.M,
    )
    assert len(rows) == 6
    case = ""
    for name, dtype, figures in rows:
        case = name or case
        shown = [float(figure) for figure in figures.strip("| ").split("|")]
        peers = ("pluginkit", "torch", "torch.compile", "cupy", "plain RawKernel")
        for peer, figure in zip(peers, shown, strict=True):
            (measured,) = (
                each
                for each in results
                if (each["case"], each["variant"], each["dtype"], each["implementation"])
                == (case, "add", dtype, peer)
            )
            assert figure == round(measured["device_us"] / measured["floor_us"], 2)


#: The case, variant and file of results behind each row of the page's second table.
MEASURED = {
    ("NonZero", "bool [8, 1024, 1024], 10 % true"): ("non_zero", "mask", "10%"),
    ("NonZero", "[4096, 4096], half of it zero"): ("non_zero", "half", "50%"),
    ("TopK", "50 of [1024, 50257]"): ("top_k", "vocabulary", "split"),
    ("TopK", "1000 of [8, 268569]"): ("top_k", "anchors", "split"),
    ("TopK", "12000 of [8, 268569]"): ("top_k", "proposals", "split"),
    ("Unique", "2^24 labels, 1000 different"): ("unique", "labels", "sorted"),
    ("Unique", "2^24 identifiers, 2 million different"): ("unique", "identifiers", "sorted"),
    ("Unique", "2^24 elements, all different"): ("unique", "all different", "sorted"),
    ("Unique", "2^23 elements in order"): ("unique", "sorted already", "sorted"),
    ("Unique", "[1000000, 3] voxels, axis 0"): ("unique", "voxels", "sorted"),
    ("AddRMSNorm", "[8192, 4096]"): ("rms_norm", "prompt", "float16 weight"),
    ("AddRMSNorm", "[8192, 4097]"): ("rms_norm", "prompt, odd", "float16 weight"),
    ("ScatterND", "4e6 rows of 64 into 1e6"): ("scatter_nd", "gnn", "add"),
    ("GridSample", "2-D, linear, [8, 64, 256, 256]"): ("grid_sample", "image", "linear, zeros"),
    ("GridSample", "2-D, linear, anywhere in it"): ("grid_sample", "scattered", "linear, zeros"),
    ("GridSample", "3-D, linear"): ("grid_sample", "volume", "linear, zeros"),
}


def test_the_figures_of_other_plugins_are_those_of_the_benchmarks() -> None:
    table = PERFORMANCE.split("eager torch over pluginkit |")[1]
    rows = re.findall(r"^\| (\w+) \| ([^|]+) \| (\w+) \| ([\d.]+) \| ([\d.]+) \|$", table, re.M)
    assert {(plugin, text) for plugin, text, *_ in rows} == set(MEASURED)
    for plugin, text, dtype, over_floor, torch_over in rows:
        file, case, variant = MEASURED[plugin, text]
        results = json.loads((ROOT / f"benchmarks/results/{file}.json").read_text())["results"]
        times = {
            each["implementation"]: each["device_us"] / each["floor_us"]
            for each in results
            if (each["case"], each["variant"], each["dtype"]) == (case, variant, dtype)
            and each["status"] == "ok"
        }
        eager = [us for name, us in times.items() if name.startswith("torch") and "." not in name]
        assert float(over_floor) == round(times["pluginkit"], 1)
        assert float(torch_over) == round(min(eager) / times["pluginkit"], 1)


def test_the_count_of_hostile_shapes_is_that_of_the_benchmark() -> None:
    rows = json.loads((ROOT / "benchmarks/results/hostile_shapes.json").read_text())["rows"]
    assert not [row for row in rows if row["status"] != "ok"]  # a run with others is not committed
    assert "None is wrong." in PERFORMANCE
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    equal = sum(ratio <= 1.02 for ratio in ratios)
    assert f"{equal} of {len(ratios)} take at most 1.02" in " ".join(PERFORMANCE.split())


def test_the_figures_where_updates_meet_are_those_of_the_benchmarks() -> None:
    table = PERFORMANCE.split("its time over pluginkit's |")[1].split("\n\n")[0]
    shown = {tuple(line.strip("| ").split(" | ")) for line in table.splitlines()[2:]}
    measured = set()
    for file in (ROOT / "benchmarks/results").glob("uneven_scatter_*.json"):
        plugin = "ScatterND" if file.stem.endswith("nd") else "ScatterElements"
        calls: dict[tuple[str, str], dict[str, float]] = {}
        for each in json.loads(file.read_text())["results"]:
            if each["variant"] == "add" and each["status"] == "ok":
                times = calls.setdefault((each["case"], each["dtype"]), {})
                times[each["implementation"]] = each["device_us"]
        for call, times in calls.items():
            own = times.pop("pluginkit")
            us, peer = min((us, peer) for peer, us in times.items())
            measured.add((plugin, *call, f"{own:.1f}", peer, f"{round(us / own, 2):.2f}"))
    assert len(measured) >= 10
    assert shown == measured


@pytest.mark.parametrize("page", ["README.md", "docs/what-ships.md"])
def test_the_counts_of_node_tests_are_those_of_the_coverage(page: str) -> None:
    paragraphs = (ROOT / page).read_text().split("\n\n")
    (paragraph,) = (each for each in paragraphs if "benchmarks/coverage.md)" in each)
    row = re.search(r"^\| all \|(.*)\|$", (ROOT / "benchmarks/coverage.md").read_text(), re.M)
    tests, native, rewritten, plugin, _ = map(int, row[1].split("|"))
    counts = set(map(int, re.findall(r"\d+", paragraph)))
    assert {tests, native, native + rewritten + plugin} <= counts


def enqueue_ratios() -> dict[str, float]:
    """For each way to enqueue, its time over the driver's."""
    rows = json.loads((ROOT / "benchmarks/results/enqueue_vtables.json").read_text())["rows"]
    return {row["way"]: row["us"] / rows[0]["us"] for row in rows}


def test_the_times_of_an_enqueue_are_those_of_the_benchmark() -> None:
    paragraphs = PERFORMANCE.split("\n\n")
    (text,) = (" ".join(p.split()) for p in paragraphs if p.startswith("One enqueue, called"))
    ratios = enqueue_ratios()
    adapters = re.search(r"the host ([\d.]+) times .* IPluginV3 and ([\d.]+) times", text)
    exported = re.search(r"exported library costs ([\d.]+) and ([\d.]+) times", text)
    empty = re.search(r"launches nothing, ([\d.]+) and ([\d.]+) times", text)
    for found, way in (
        (adapters, "Python adapter"),
        (exported, "exported"),
        (empty, "empty Python enqueue"),
    ):
        measured = tuple(f"{ratios[f'{way}, {interface}']:.2f}" for interface in ("V3", "V2"))
        assert found is not None, way
        assert found.groups() == measured, way
    goals = re.search(r"are ([\d.]+) and ([\d.]+): (both are|neither is) met", text)
    assert goals is not None
    met = [ratios[f"Python adapter, {i}"] <= float(goals[n]) for n, i in ((1, "V3"), (2, "V2"))]
    assert met == [goals[3] == "both are"] * 2


def test_the_times_of_new_shapes_are_those_of_the_benchmarks() -> None:
    paragraphs = PERFORMANCE.split("\n\n")
    (text,) = (" ".join(p.split()) for p in paragraphs if p.startswith("A shape never seen"))
    rows = json.loads((ROOT / "benchmarks/results/enqueue_vtables.json").read_text())["rows"]
    us = {row["way"]: round(row["new_shape_us"]) for row in rows if "new_shape_us" in row}
    assert re.findall(r"(\d+) us through", text) == [
        str(us[f"Python adapter, {interface}"]) for interface in ("V3", "V2")
    ]
    rows = json.loads((ROOT / "benchmarks/results/new_shapes.json").read_text())["rows"]
    for row in rows:
        assert f"{row['case'].split()[0]} {row['new_us']:.0f}" in text


def test_the_times_of_fresh_processes_are_those_of_the_benchmark() -> None:
    paragraphs = PERFORMANCE.split("\n\n")
    (text,) = (" ".join(p.split()) for p in paragraphs if p.startswith("The first result of"))
    rows = json.loads((ROOT / "benchmarks/results/cold_start.json").read_text())["rows"]
    compiled = {row["case"]: row["seconds"] for row in rows if row["kernels are"] == "compiled"}
    found = dict(re.findall(r"(\w+) (?:takes )?([\d.]+) s\b", text))
    assert found.keys() >= {"AddRMSNorm", "TopK", "Unique"}
    for case in found.keys() & compiled.keys():
        assert found[case] == f"{compiled[case]:.2f}"


def test_the_exports_page_has_the_times_of_the_benchmarks() -> None:
    text = " ".join((ROOT / "docs/leaving-python.md").read_text().split())
    found = re.search(r"costs ([\d.]+) \(V3\) and ([\d.]+) \(V2\) .* comes ([\d.]+) ms", text)
    assert found is not None
    ratios = enqueue_ratios()
    (row,) = json.loads((ROOT / "benchmarks/results/enqueue_exported.json").read_text())["rows"]
    assert found.groups() == (
        f"{ratios['exported, V3']:.2f}",
        f"{ratios['exported, V2']:.2f}",
        f"{row['load_to_first_enqueue_us'] / 1000:.1f}",
    )


def test_the_sizes_of_an_installation_are_those_that_were_measured() -> None:
    results = json.loads((ROOT / "benchmarks/results/install_size.json").read_text())["rows"]
    sizes = {row["package"]: row["bytes"] / 1e6 for row in results if "package" in row}
    page = (ROOT / "docs/support.md").read_text()
    assert f"brings {sum(sizes.values()):.0f} MB" in page
    tensorrt = sum(size for name, size in sizes.items() if name.startswith("tensorrt-rtx"))
    rows = {
        name: (mb, fails)
        for name, mb, fails in re.findall(
            r"^\| ([\w-]+)[^|]* \| (\d+) \| ([\w, ]+) \|$", page, re.M
        )
    }
    for name, size in (("tensorrt-rtx", tensorrt), ("onnxruntime", sizes["onnxruntime"])):
        (fails,) = (row["fails"] for row in results if row.get("without") == name)
        assert rows[name] == (f"{size:.0f}", ", ".join(fails))


def test_the_rewrites_that_pay_are_those_that_were_counted() -> None:
    from rewrites_that_pay import rows, table

    counted = rows()
    recorded = json.loads((ROOT / "benchmarks/results/rewrites_that_pay.json").read_text())["rows"]
    assert counted == recorded
    assert table(recorded) in PERFORMANCE
