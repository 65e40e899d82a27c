"""CONTRIBUTING.md: its map follows from the code, and its examples run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pluginkit.cli.main import main
from tests.unit.test_layers import ORDER

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
EXAMPLES = {
    block.partition("## ")[2].partition("\n")[0]: code
    for block in re.split(r"(?=^## )", PAGE, flags=re.M)
    for code in re.findall(r"```python\n(.*?)```", block, re.S)
}


def test_the_table_has_the_order_of_the_parts() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.M) == ORDER


def test_the_files_of_the_table_are_in_their_parts() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", PAGE, re.M)
    named = [(part, name) for part, names in rows for name in re.findall(r"`([\w/]+\.py)`", names)]
    assert len(named) > 15
    for part, name in named:
        assert list((ROOT / "pluginkit" / part).rglob(name)), (part, name)


def test_the_picture_is_drawn_from_the_imports() -> None:
    drawn = subprocess.run(
        [sys.executable, ROOT / "docs" / "hooks" / "draw_parts.py"], capture_output=True, text=True
    ).stdout
    assert drawn.count("-->") > 10
    assert PAGE.split("```mermaid\n")[1].split("```")[0] == drawn


def test_there_is_an_example_of_each() -> None:
    assert list(EXAMPLES) == ["Add a rewrite", "Add a check", "Add a command", "Add an error"]


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_runs(title: str) -> None:
    done = subprocess.run([sys.executable, "-c", EXAMPLES[title]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_commands_that_begin_a_plugin_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, check = re.findall(r"^pluginkit ((?:new|check) .*)$", PAGE, re.M)
    monkeypatch.chdir(tmp_path)
    assert main(new.split()) == 0
    assert main([*check.split(), "--plugins", "plugins", "--only", "kernel_types,attributes"]) == 0
    assert (tmp_path / "plugins/hard_shrink/hard_shrink.cu").exists()
    assert (tmp_path / "tests/plugins/test_hard_shrink.py").exists()
