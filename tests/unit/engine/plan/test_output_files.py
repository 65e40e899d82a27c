from pathlib import Path

import pytest

from pluginkit.engine.plan.output_files import (
    check_writable,
    sha256_of,
    write_atomically,
    write_together,
)
from pluginkit.errors import UsageError


def test_a_file_is_replaced_whole_and_no_other_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a [b]\n.plan"
    path.write_bytes(b"old")
    write_atomically(path, memoryview(b"new"))
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.plan"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["no/such/folder.plan", "folder", "a" * 300, "nul\0name"])
def test_what_cannot_be_written_is_said_before_and_after(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="PK525"):
        check_writable(tmp_path / name)
    with pytest.raises(UsageError, match="PK525"):
        write_atomically(tmp_path / name, b"plan")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


def test_a_new_file_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a.plan"
    check_writable(path)
    write_atomically(path, b"")
    # The SHA-256 of no bytes, as every description of the algorithm gives it.
    assert sha256_of(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_files_that_belong_together_are_written_both_or_not_at_all(tmp_path: Path) -> None:
    plan, manifest = tmp_path / "p.plan", tmp_path / "missing" / "p.plan.json"
    with pytest.raises(UsageError, match="PK525"):
        write_together({plan: b"plan", manifest: b"{}"})
    assert list(tmp_path.iterdir()) == []
