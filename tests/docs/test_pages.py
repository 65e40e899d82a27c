"""Every command and every Python block of the documentation runs and prints what the page says."""

import re
import typing
from pathlib import Path

import pytest

from pluginkit.ptx import Kind
from tests.docs.pages import assert_prints, blocks_of, run_page

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if any(block.runs for block in blocks_of(path)))


def test_pages_were_found() -> None:
    assert len(PAGES) >= 1


@pytest.mark.slow
@pytest.mark.trt
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_page_runs(page: Path, tmp_path: Path) -> None:
    assert run_page(page, tmp_path) >= 1


def test_the_tutorials_export_is_that_of_the_script() -> None:
    script = (DOCS.parent / "examples/models/export_soft_clip.py").read_text()
    written = {line.strip() for line in script.splitlines()}
    shown = [
        line.strip()
        for block in blocks_of(DOCS / "tutorial.md")
        if block.language == "py"
        for line in block.text.splitlines()
    ]
    assert len(shown) > 50
    assert [line for line in shown if line not in {*written, "...", ""}] == []


def test_the_table_of_findings_has_every_kind() -> None:
    page = (DOCS / "kernels-on-a-cpu.md").read_text()
    listed = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.M)))
    assert sorted(listed) == sorted(typing.get_args(Kind))


PAGE = """
```python title="made.py"
ANSWER = 42
```

1. In a list:

    ```sh
    python -c 'import made; print("answer", made.ANSWER)'
    ```

    ```text
    answer 42
    ```

```toml
not run
```
"""


def test_files_are_written_and_commands_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert run_page(page, tmp_path) == 1
    assert (tmp_path / "made.py").read_text() == "ANSWER = 42\n"


def test_other_output_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("answer 42\n", "answer 43\n"))
    with pytest.raises(AssertionError, match="not printed: 'answer 43'"):
        run_page(page, tmp_path)


def test_a_failing_command_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\nfalse\ntrue\n```\n")
    with pytest.raises(AssertionError, match="printed, and failed"):
        run_page(page, tmp_path)


def test_dots_stand_for_anything() -> None:
    assert_prints("took ... s\n...\nend", "took 1.5 s\nmore\nend  \n")
    with pytest.raises(AssertionError):
        assert_prints("end\ntook ... s", "took 1.5 s\nend")
