"""The scripts in benchmarks/: each says what it does, and the report is made from their results."""

import re
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
def test_a_script_answers_help(script: str) -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, "--help"], capture_output=True, text=True
    )
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
