"""`pluginkit explain`: the page of codes and plugins' docstrings, in the terminal."""

import json

import pytest

from pluginkit.cli.main import main
from pluginkit.errors import PluginkitError, UsageError

Capture = pytest.CaptureFixture[str]


def test_a_code_is_explained_in_any_case(capsys: Capture) -> None:
    assert main(["explain", "pk109"]) == 0
    assert capsys.readouterr().out == (
        "PK109: a required attribute is missing.\n  Fix: give it a value.\n"
    )


def test_the_text_has_no_markdown_escapes(capsys: Capture) -> None:
    assert main(["explain", "PK101", "--json"]) == 0
    explained = json.loads(capsys.readouterr().out)
    assert explained["code"] == "PK101"
    assert "`| None`" in explained["fix"]


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("GridSample/empty", "an axis of x is empty, and the padding reads from it"),
        ("ScatterND/shapes", "the shapes do not fit each other"),
        ("TopK/k", "k is negative or exceeds the axis"),
    ],
)
def test_a_plugins_code_is_explained_by_its_docstring(
    code: str, meaning: str, capsys: Capture
) -> None:
    assert main(["explain", code]) == 0
    assert capsys.readouterr().out == f"{code}: {meaning}.\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("PK999999", "there is no error code 'PK999999'"),
        ("hello", "there is no error code 'HELLO'"),
        ("GridSample/shpaes", "did you mean 'shapes'?"),
        ("GridSampel/empty", "did you mean 'GridSample'?"),
    ],
)
def test_an_unknown_code_is_refused(code: str, expected: str, capsys: Capture) -> None:
    assert main(["explain", code]) == 2
    assert expected in capsys.readouterr().err


def test_an_error_that_was_raised_can_be_explained(capsys: Capture) -> None:
    error: PluginkitError = UsageError("PK611", "there is no plugin 'Foo'.")
    assert main(["explain", error.code]) == 0
    assert "there is no such plugin" in capsys.readouterr().out
