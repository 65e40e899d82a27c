"""The scripts in benchmarks/: each says what it does, and the report is made from their results."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import report

ROOT = Path(__file__).parents[3]
BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = [each.name for each in BENCHMARKS.glob("*.py") if "__main__" in each.read_text()]


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 12


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_answers_help(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    monkeypatch.setattr(sys, "path", [*sys.path])  # to which scripts add folders
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(BENCHMARKS / script), run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")


def test_a_script_is_a_process(tmp_path: Path) -> None:
    command = [sys.executable, BENCHMARKS / "rms_norm.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")


def test_the_page_follows_from_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results").symlink_to(BENCHMARKS / "results")
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["report.py"])
    report.main()
    assert (tmp_path / "README.md").read_text() == (BENCHMARKS / "README.md").read_text()


def test_the_page_links_to_files_that_are_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (BENCHMARKS / "README.md").read_text())
    assert len(links) > 10
    assert [link for link in links if not (BENCHMARKS / link).exists()] == []


@pytest.mark.slow
def test_charts_are_drawn_from_the_results(tmp_path: Path) -> None:
    report.draw_charts(tmp_path, ["rms_norm"])
    assert (tmp_path / "rms_norm.png").read_bytes().startswith(b"\x89PNG")
    assert "<table>" in (tmp_path / "rms_norm.html").read_text()
