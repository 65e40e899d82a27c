"""Every command line of the documentation is one that the command takes, also where none runs."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from pluginkit.cli.main import COMMANDS, _parser

ROOT = Path(__file__).parents[2]
#: The changelog may name commands that are gone.
PAGES = [
    path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")) if path.name != "CHANGELOG.md"
]
LINE = re.compile(rf"^[ \t]*(?:- run: |\$ )?(pluginkit (?:{'|'.join(COMMANDS)}) .*)$", re.M)


def command_lines(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each command that begins a line; the shell's own words are left."""
    for line in LINE.findall(text.replace("\\\n", " ")):
        for command in re.split(r"&&|\|\|?|;", line):
            words = shlex.split(command, comments=True)
            if words[:1] == ["pluginkit"]:
                yield words[1 : words.index(">") if ">" in words else None]


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    return _parser()


def test_what_the_command_does_not_take_is_seen(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    (words,) = command_lines("    pluginkit compare model.onnx --kernels   # a rewritten one\n")
    assert words == ["compare", "model.onnx", "--kernels"]
    with pytest.raises(SystemExit):
        parser.parse_args(words)
    assert "required: rewritten" in capsys.readouterr().err


def test_every_command_line_is_taken(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    seen, refused = 0, []
    for page in PAGES:
        for words in command_lines(page.read_text()):
            seen += 1
            try:
                parser.parse_args(words)
            except SystemExit:
                refused.append((page.name, words, capsys.readouterr().err.splitlines()[-1]))
    assert seen > 60
    assert refused == []
