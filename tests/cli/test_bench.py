"""``pluginkit bench``, as far as it goes without a GPU, and with a device that plays one."""

import json

import pytest

from pluginkit.bench import gpu_timer
from pluginkit.bench.bench_report import BenchReport, Measurement, report_from_document
from pluginkit.cli.commands import bench
from pluginkit.cli.main import main
from pluginkit.errors import MissingDependencyError


def test_without_a_gpu_it_says_so_and_exits_with_2(monkeypatch, capsys):
    def no_gpu():
        raise MissingDependencyError("PK311", "no CUDA GPU: none.")

    monkeypatch.setattr(gpu_timer, "current_device", no_gpu)
    assert main(["bench", "CircPad"]) == 2
    assert capsys.readouterr().err.startswith("PK311 no CUDA GPU")


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["NoSuch"], "PK611"),
        (["CircPad", "--cases", "none"], "PK701"),
        (["CircPad", "--dtypes", "half"], "PK701"),
        (["CircPad", "--peers", "no_such_file.py"], "PK700"),
    ],
)
def test_wrong_names_are_bad_usage(argv, code, capsys):
    assert main(["bench", *argv]) == 2
    assert capsys.readouterr().err.startswith(code)


@pytest.fixture
def played(monkeypatch):
    """No device at all: the report is there."""
    environment = {
        "gpu": "Fake GPU",
        "driver": "1.2",
        "cuda_driver": "13.0",
        "tensorrt": "tensorrt_lean 11.4",
        "versions": {"numpy": "2"},
    }
    workload = ("", "float32", ["float32[4]"], "pluginkit")
    results = [
        Measurement("big", *workload, "ok", 1000, 10.0, device_us=12.5),
        Measurement("small", *workload, "wrong", 1000, 10.0, note="error 3"),
    ]
    report = BenchReport(
        "Double", "2026-01-02", environment, 4e12, 3.5, "C loop", "by hand", results
    )
    monkeypatch.setattr(bench, "_measure", lambda args: report)
    return report


def test_a_table_is_printed_and_a_wrong_result_is_failure(played, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["bench", "Double"]) == 1
    out = capsys.readouterr().out
    for words in ("12.5 x1.25", "80%", "Fake GPU", "small  float32 pluginkit: wrong: error 3"):
        assert words in out


def test_json_goes_to_stdout_or_a_file(played, capsys, tmp_path):
    main(["bench", "Double", "--json"])
    assert report_from_document(json.loads(capsys.readouterr().out)) == played
    main(["bench", "Double", "--json", str(tmp_path / "a.json")])
    assert report_from_document(json.loads((tmp_path / "a.json").read_text())) == played


@pytest.mark.slow
def test_pictures_are_written(played, capsys, tmp_path):
    main(["bench", "Double", "--png", str(tmp_path / "a.png"), "--html", str(tmp_path / "a.html")])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")


def test_a_file_that_cannot_be_written_is_an_error(played, capsys, tmp_path):
    assert main(["bench", "Double", "--json", str(tmp_path / "none" / "a.json")]) == 2
    assert "PK703" in capsys.readouterr().err
