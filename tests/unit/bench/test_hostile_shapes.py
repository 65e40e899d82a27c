"""benchmarks/hostile_shapes.py measures every plugin on shapes that nobody tuned for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from random import Random

import hostile_shapes
import numpy as np
import pytest
import report
from drawn_sizes import size, sizes
from hostile_table import summary_line, tables

from pluginkit import find_plugins, float32
from pluginkit.bench import gpu_timer
from pluginkit.bench.bench_report import Measurement
from pluginkit.bench.loaded_workload import LoadedWorkload
from pluginkit.bench.workload import Peer, Workload
from tests.unit.bench.doubles import FakeDevice, HostDouble, array_of

NAMES = hostile_shapes.benchmark_names()


def test_every_plugin_is_measured() -> None:
    folders = {cls.__module__.split(".")[2] for cls in find_plugins().values()}
    measured = {
        type(next(hostile_shapes.workloads_of(name, 0)).plugin).__module__.split(".")[2]
        for name in NAMES
    }
    assert measured == folders
    assert len(NAMES) == len(set(NAMES)) == len(folders) > 30


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_draws_the_same_shapes_again_and_another_seed_others(name: str) -> None:
    def texts(seed: int) -> list[tuple[str, str, str, int | None]]:
        return [
            (each.case, each.variant, each.dtypes[0].name, each.compulsory_bytes)
            for each in hostile_shapes.workloads_of(name, seed)
        ]

    module = import_module(name)
    one = texts(1)
    assert one == texts(1)
    assert len(set(one)) == len(one)
    assert {case for case, *_ in one} == {*module.HOSTILE, *[f"drawn {n}" for n in range(1, 5)]}
    assert not set(module.HOSTILE) & set(module.CASES)
    draws = [str(module.drawn(Random(seed))) for seed in (1, 1, *range(2, 9))]  # noqa: S311  # reproducible
    assert draws[0] == draws[1]
    assert len(set(draws)) > 4


def test_regions_of_the_sample_lie_in_any_image() -> None:
    case = {"many images": ((40, 1, 4, 4), 25, 1, 1, 2.0)}
    workload = next(import_module("roi_align").workloads(case))
    loaded = LoadedWorkload(workload, FakeDevice())
    y = workload.plugin.reference(*workload.arrays(np, 0))
    assert loaded.error(lambda: y) == 0  # NaN is the result of a region whose image is cut off


def test_sizes_stay_in_their_bounds() -> None:
    rng = Random(0)  # noqa: S311  # reproducible, not secret
    found = {size(rng, 3, 40) for _ in range(500)}
    assert found <= set(range(3, 41))
    assert {3, 40} <= found
    for rank in (1, 2, 5):
        shapes = [sizes(rng, rank, 1000) for _ in range(200)]
        products = [product_of(shape) for shape in shapes]
        assert max(products) <= 1000
        assert len(set(products)) > 30


def product_of(shape: tuple[int, ...]) -> int:
    product = 1
    for each in shape:
        assert each >= 1
        product *= each
    return product


def measured(name: str, us: float | None, status: str = "ok", note: str = "") -> Measurement:
    return Measurement(
        *("odd", "sum", "float32", ["float32[3]", "float32[1]"], name, status),  # type: ignore[arg-type]
        *(16, 0.5, note, 0.0, us),
    )


def test_a_row_has_the_fastest_peer() -> None:
    own, slow, fast = measured("pluginkit", 3.0), measured("slow", 9.0), measured("fast", 2.0)
    refusing = measured("refusing", None, "not offered", "no")
    row = hostile_shapes.row_of("Sum", [own, slow, fast, refusing])
    assert (row["fastest"], row["ratio"]) == ("fast", 1.5)
    assert row["peers"] == {"slow": 9.0, "fast": 2.0, "refusing": "not offered: no"}
    wrong = hostile_shapes.row_of("Sum", [measured("pluginkit", None, "wrong", "error 2"), fast])
    assert (wrong["status"], wrong["note"], "ratio" in wrong) == ("wrong", "error 2", False)
    assert "ratio" not in hostile_shapes.row_of("Sum", [own, refusing])


@pytest.mark.parametrize(
    ("ratios", "kept", "runs"),
    [
        ((0.95, 9.0), 0.95, 1),
        ((0.96, 1.5, 0.97), 0.97, 3),
        ((1.5, 0.9, 1.01), 1.01, 3),
        ((None,), None, 1),
        ((1.0, 0.9, None), None, 3),
    ],
)
def test_what_comes_near_a_peer_is_measured_three_times(
    ratios: tuple[float | None, ...], kept: float | None, runs: int
) -> None:
    left = [{"ratio": ratio} if ratio else {"status": "wrong"} for ratio in ratios]
    measured_rows: list[dict[str, object]] = []

    def measure() -> dict[str, object]:
        measured_rows.append(left[len(measured_rows)])
        return measured_rows[-1]

    assert hostile_shapes.middle_row(measure).get("ratio") == kept
    assert len(measured_rows) == runs


@pytest.fixture
def rows() -> list[dict[str, object]]:
    fast, slow = measured("fast", 2.0), measured("slow", 9.0)
    runs = [(1.0, fast), (2.04, fast), (2.08, fast), (6.0, fast), (6.0, slow)]
    found = [hostile_shapes.row_of("Sum", [measured("pluginkit", us), peer]) for us, peer in runs]
    found.append(hostile_shapes.row_of("Max", [measured("pluginkit", None, "wrong", "error 2")]))
    return [*found, hostile_shapes.row_of("Max", [measured("pluginkit", 1.0)])]


def test_a_summary_counts_what_equals_the_fastest_peer(rows: list[dict[str, object]]) -> None:
    assert summary_line(rows) == (
        "3 of 5 workloads take at most 1.02 of the fastest peer's time; the slowest takes 3.00 of "
        "it (Sum, odd sum float32). 1 more have no peer. Wrong or failed: Max, odd sum float32: "
        "error 2."
    )
    of_plugins, slower = tables(rows).split("\n\n")
    assert of_plugins.splitlines()[2:] == [
        "| Max | 0 | 0 | 0 |  |  |",
        "| Sum | 5 | 3 | 1 | odd sum float32 | 3.00 |",
    ]
    assert [line.split(" | ")[-1] for line in slower.splitlines()[2:]] == ["3.00 |", "1.04 |"]
    assert "float32[3], float32[1] | 6.0 | fast" in slower


def test_the_page_has_what_was_measured(
    rows: list[dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    assert report.hostile_shapes() == ""
    environment = hostile_shapes.host_environment() | {"gpu": "H", "driver": "1", "cuda_driver": ""}
    path = tmp_path / "results" / "hostile_shapes.json"
    earlier = [{"date": "2026-11-30T10:20:30", "seed": 3, "plugins": ["Sum", "Product"]}]
    more = {"seed": 7, "method": "a clock", "earlier": earlier}
    hostile_shapes.record("hostile_shapes", environment, rows, path, **more)  # type: ignore[arg-type]
    page = report.hostile_shapes()
    assert " Sum and Product: of 2026-11-30T10:20, seed 3." in page
    assert page.startswith("## Inputs that nobody tuned for\n\nH, driver 1")
    for words in ("drawn with seed 7", "a clock", "3 of 5 workloads", "| Sum | 5 | 3 | 1 |"):
        assert words in page


def test_a_run_of_some_plugins_keeps_the_rows_of_others(tmp_path: Path) -> None:
    path = tmp_path / "found.json"

    def measured(date: str, seed: int, *plugins: str) -> tuple[list[object], list[object]]:
        rows = [{"plugin": plugin, "seed": seed} for plugin in plugins]
        all_rows, earlier = hostile_shapes.with_earlier(rows, path)
        document = {"date": date, "seed": seed, "earlier": earlier, "rows": all_rows}
        path.write_text(json.dumps(document))
        return [(row["plugin"], row["seed"]) for row in all_rows], earlier

    assert measured("first", 1, "A", "B", "C") == ([("A", 1), ("B", 1), ("C", 1)], [])
    rows, earlier = measured("second", 2, "B")
    assert rows == [("B", 2), ("A", 1), ("C", 1)]
    assert earlier == [{"date": "first", "seed": 1, "plugins": ["A", "C"]}]
    rows, earlier = measured("third", 3, "A")
    assert rows == [("A", 3), ("B", 2), ("C", 1)]
    assert earlier == [
        {"date": "second", "seed": 2, "plugins": ["B"]},
        {"date": "first", "seed": 1, "plugins": ["C"]},
    ]
    rows, earlier = measured("fourth", 4, "B", "C")
    assert rows == [("B", 4), ("C", 4), ("A", 3)]
    assert earlier == [{"date": "third", "seed": 3, "plugins": ["A"]}]


def test_a_process_that_ends_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, time\n"
        "print('words that others print')\n"
        'print(\'{"plugin": "\' + sys.argv[1] + \'", "status": "ok"}\')\n'
        "sys.stdout.flush()\n"
        "time.sleep(60 * (sys.argv[1] == 'slow'))\n"
        "sys.exit(3 if sys.argv[1] == 'bad' else 0)\n"
    )
    monkeypatch.setattr(hostile_shapes, "__file__", str(script))
    found = list(hostile_shapes.rows_of(["good", "bad"], 0, tmp_path / "turns", 2, 60))
    assert sorted(json.dumps(row) for row in found) == sorted(
        json.dumps(row)
        for row in (
            {"plugin": "good", "status": "ok"},
            {"plugin": "bad", "status": "ok"},
            {"plugin": "bad", "case": "", "status": "failed", "note": "the process ended with 3"},
        )
    )
    began = time.monotonic()
    found = list(hostile_shapes.rows_of(["slow", "never"], 0, tmp_path / "turns", 1, 0.5))
    assert [(row["plugin"], row["status"]) for row in found[-2:]] == [
        ("slow", "failed"),
        ("never", "failed"),
    ]
    assert found[-1]["note"] == "not ended after 0 s"
    assert time.monotonic() - began < 30


def test_what_cannot_be_measured_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Gpu(FakeDevice):
        def __init__(self, turns: Path, passes: gpu_timer.Passes) -> None:
            super().__init__()
            assert not passes.has_host_times

        def current(self) -> nullcontext[None]:
            return nullcontext()

        def host_times(self, calls: object) -> list[float]:
            return []

    def twice(plugin: object, sources: list[object], targets: list[object]) -> Callable[[], object]:
        return lambda: array_of(sources[0]) * 2

    def no_memory(xp: object, seed: int) -> list[object]:
        raise MemoryError("of 3 GB")

    workloads = [
        Workload("too large", "", HostDouble(), (float32,), no_memory),
        Workload("small", "", HostDouble(), (float32,), lambda xp, seed: [xp.ones((4, 4))]),
    ]
    monkeypatch.setattr(gpu_timer, "GpuTimer", Gpu)
    monkeypatch.setattr(hostile_shapes, "workloads_of", lambda name, seed: workloads)
    monkeypatch.setattr(hostile_shapes, "peers_of", lambda name: [Peer("twice", twice)])
    monkeypatch.setattr("sys.argv", ["hostile_shapes.py", "double", "--lines", "--seed", "1"])
    assert hostile_shapes.main() == 0
    machine, failed, found = map(json.loads, capsys.readouterr().out.splitlines())
    assert machine["environment"]["gpu"] == "Fake <GPU>"
    assert (failed["case"], failed["status"], failed["note"]) == (
        *("too large", "failed"),
        "MemoryError: of 3 GB",
    )
    assert (found["case"], found["status"], found["ratio"]) == ("small", "ok", 1.0)

    lines = machine, failed, found
    monkeypatch.setattr(hostile_shapes, "rows_of", lambda *given: map(dict, lines))
    path = tmp_path / "found.json"
    command = ["hostile_shapes.py", "--json", str(path), "--seed", "8"]
    for names in ([], ["double"]):
        monkeypatch.setattr("sys.argv", [*command, *names])
        assert hostile_shapes.main() == 1
        document = json.loads(path.read_text())
        assert (document["seed"], document["method"], len(document["rows"])) == (8, "a clock", 2)
    assert "1 of 1 workloads" in capsys.readouterr().out
