"""Runs a page of the documentation: writes its files, executes its commands, compares their output.

In a page,

- ```` ```python title="plugins/relu.py" ```` (or any language with a title) writes that file;
- ```` ```python ```` without a title, and ```` ```sh ````, are executed, in the page's order and in
  one folder, which holds a copy of examples/; a block of Python sees the names of those before it;
- ```` ```text ```` directly after one of these is its output: its lines must be printed in that
  order. ``...`` stands for anything, inside a line or as a line of its own.

Blocks of other languages are only shown.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(
    r'^(?P<indent> *)```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n'
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: what follows the backticks, ``"sh"``.
        title: the file that it is, or "".
        text: its lines, without the indentation of the fence.
        follows_code: whether only white space is between it and the block before.
    """

    language: str
    title: str
    text: str
    follows_code: bool

    @property
    def runs(self) -> bool:
        return not self.title and self.language in ("python", "sh")


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    markdown, end = page.read_text(), -1
    for fence in _FENCE.finditer(markdown):
        text = re.sub(rf"^{fence['indent']}", "", fence["text"], flags=re.MULTILINE)
        between = markdown[end : fence.start()] if end >= 0 else "text"
        yield Block(fence["language"], fence["title"] or "", text, not between.strip())
        end = fence.end()


def run_page(page: Path, folder: Path) -> int:
    """Execute a page in a folder, and return how many of its blocks ran.

    Raises:
        AssertionError: a command failed, or printed something else.
    """
    shutil.copytree(ROOT / "examples", folder / "examples", dirs_exist_ok=True)
    count, output, session = 0, "", ""
    for block in blocks_of(page):
        if block.title:
            path = folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.runs:
            if block.language == "python":
                session += block.text
                output = _run([sys.executable, "-"], session, folder)
            else:
                output = _run(["bash", "-euo", "pipefail"], block.text, folder)
            count += 1
        elif block.language == "text" and block.follows_code:
            assert_prints(block.text, output)
    return count


def _run(command: list[str], text: str, folder: Path) -> str:
    environment = {
        **os.environ,
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "PYTEST_ADDOPTS": "",
        "PYTHONPATH": str(folder),  # a checkout's own plugins/ would hide the page's
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    done = subprocess.run(
        command,
        input=text,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{text}\n--- printed, and failed:\n{done.stdout}"
    return done.stdout


def assert_prints(expected: str, printed: str) -> None:
    """Fail unless the expected lines are printed in their order.

    White space around lines, and empty lines, do not count.
    """
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    position = 0
    for line in (line.strip() for line in expected.splitlines() if line.strip()):
        if line == "...":
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in line.split("...")) + "$")
        found = next((i for i in range(position, len(lines)) if pattern.match(lines[i])), None)
        assert found is not None, f"not printed: {line!r}\n--- printed:\n{printed}"
        position = found + 1
