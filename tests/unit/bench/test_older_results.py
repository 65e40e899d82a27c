"""benchmarks/older_results.py says which results are older than what they measure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import older_results
import pytest

GIT = shutil.which("git") or "git"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a plugin and its benchmark, committed in 2024."""
    files = {
        "benchmarks/scale.py": "import helper\nfrom pluginkit.plugins.scale import Scale\n",
        "benchmarks/helper.py": "",
        "benchmarks/other.py": "",
        "plugins/scale/__init__.py": "from pluginkit.plugins._cuda.rows import kernel_of\n",
        "plugins/scale/kernel.cu": '#include "scale.cuh"\n',
        "plugins/scale/scale.cuh": '#include "../_cuda/device.cuh"\n',
        "plugins/_cuda/rows.py": 'kernel = CudaKernel("../_cuda/rows.cu", "rows")\n',
        "plugins/_cuda/rows.cu": "",
        "plugins/_cuda/device.cuh": "",
        "plugins/_cuda/unused.cuh": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in ("scale", "other"):
        path = tmp_path / "benchmarks" / "results" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"date": "2025-01-01T00:00:00+00:00"}))
    monkeypatch.setattr(older_results, "ROOT", tmp_path)
    monkeypatch.setattr(older_results, "FOLDER", tmp_path / "benchmarks")
    git(tmp_path, "init", "-q")
    commit(tmp_path, 2024, "all")
    return tmp_path


def git(folder: Path, *arguments: str, year: int = 2024) -> None:
    date = f"{year}-06-01T00:00:00+00:00"
    names = {
        f"GIT_{who}_{what}": "x@y.z"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    subprocess.run([GIT, *arguments], cwd=folder, check=True, env={**os.environ, **names, **dates})


def commit(folder: Path, year: int, words: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", words, year=year)


@pytest.mark.parametrize(
    "changed",
    [
        "benchmarks/helper.py",
        "plugins/scale/kernel.cu",
        "plugins/_cuda/device.cuh",
        "plugins/_cuda/rows.py",
        "plugins/_cuda/rows.cu",
    ],
)
def test_a_result_is_older_once_its_code_changes(repository: Path, changed: str) -> None:
    results = repository / "benchmarks" / "results"
    assert older_results.older_results(results) == []
    (repository / changed).write_text("another")
    commit(repository, 2026, "the kernel is faster")
    (older,) = older_results.older_results(results)
    assert (older.name, older.date[:4]) == ("scale", "2025")
    assert [words.partition(" ")[2] for words in older.commits] == ["the kernel is faster"]


def test_what_other_plugins_share_makes_no_result_older(repository: Path) -> None:
    (repository / "plugins" / "_cuda" / "unused.cuh").write_text("another")
    commit(repository, 2026, "another plugin is faster")
    assert older_results.older_results(repository / "benchmarks" / "results") == []


def test_every_result_has_its_script_and_what_it_measures() -> None:
    names = [path.stem for path in (ROOT / "benchmarks" / "results").glob("*.json")]
    assert len(names) > 15
    for name in names:
        paths = older_results.measured_paths(name)
        assert f"benchmarks/{older_results.SCRIPTS.get(name, name)}.py" in paths, name
        assert [path for path in paths if not (ROOT / path).exists()] == [], name
        assert len(paths) > 1, name
