import argparse

import pytest

from pluginkit.cli.options import bytes_from_text, positive_int
from pluginkit.cli.terminal_output import print_table, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b ü [x]", "a b ü [x]"),
        ("a\nb\t", r"a\nb\t"),
        ("\x1b[0m", r"\x1b[0m"),
        ("\udc80", r"\udc80"),
        ("\u202egpj", r"\u202egpj"),
    ],
)
def test_nothing_unprintable_is_left(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_table_takes_brackets_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("[bold]t[/bold]", ("[c]",), [("[red]x :smile:",), (3,)])
    out = capsys.readouterr().out
    for text in ("[bold]t[/bold]", "[c]", "[red]x :smile:", "3"):
        assert text in out


def test_a_long_cell_is_folded_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    name = "node_" + "0123456789" * 30
    print_table("t", ("name", "in"), [(name, "main graph")])
    words = capsys.readouterr().out.replace("main graph", "").split()
    assert name in "".join(words)


def test_columns_without_names_have_no_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("t", ("", ""), [("a", "b")])
    title, *_, row, last = capsys.readouterr().out.splitlines()
    assert (title, row.split(), last.strip()) == ("t", ["a", "b"], "")
    print_table("t", ("", ""), [("a", "b")])
    assert "\u2500" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "expected"), [("1", 1), ("512M", 2**29), ("2g", 2**31), ("16K", 2**14)]
)
def test_sizes_have_binary_units(text: str, expected: int) -> None:
    assert bytes_from_text(text) == expected


@pytest.mark.parametrize("text", ["", "M", "0", "-1", "1.5G", "1T", "12MB", "²"])
def test_other_text_is_no_size(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        bytes_from_text(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.0", "", "²"])
def test_other_text_is_no_count(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        positive_int(text)
