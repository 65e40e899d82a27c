"""Files are read and written whole, or an OSError says why not."""

import os
from pathlib import Path

import pytest

from pluginkit.atomic_files import check_name, open_file, read_file, replace_files


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "link").symlink_to("a")
    assert read_file(tmp_path / "a") == read_file(tmp_path / "link") == b"content"


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # without a writer, a plain open would wait for ever
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path / "nul\0", tmp_path / ("a" * 300)):
        with pytest.raises(OSError, match="regular|NUL|long"):
            open_file(path)
    with pytest.raises(IsADirectoryError):
        open_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "missing")


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # root could rename over /dev/null as well
    with pytest.raises(OSError, match="no regular file"):
        replace_files({tmp_path / "pipe": b"content"})
    assert (tmp_path / "pipe").is_fifo()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_set_of_files_is_replaced_as_a_whole(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"old")
    replace_files({one: b"1", two: b"2"})
    assert (one.read_bytes(), two.read_bytes()) == (b"1", b"2")
    assert sorted(tmp_path.iterdir()) == [one, two]


@pytest.mark.parametrize("failing", [0, 1])
def test_an_interrupt_between_two_files_leaves_neither(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Path.replace, []

    def interrupted(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) > failing:
            raise KeyboardInterrupt
        return original(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace_files({tmp_path / "one": b"1", tmp_path / "two": b"2"})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_replace_keeps_the_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_files({tmp_path / "one": b"1", tmp_path / "two": b"2"})
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_folders_name_is_no_files(tmp_path: Path) -> None:
    check_name(tmp_path / "new")
    for path in (tmp_path, Path(), Path("/")):
        with pytest.raises(IsADirectoryError):
            check_name(path)
