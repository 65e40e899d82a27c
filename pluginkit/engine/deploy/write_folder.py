"""Write the files of a folder: all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pluginkit.engine.plan.output_files import check_writable, write_together
from pluginkit.errors import UsageError


def check_folder(folder: Path) -> None:
    """Fail before the work if its result cannot be written to a folder.

    Errors:
        PK525: it is a file, or it cannot be made or written to.
    """
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if there.is_file():
        raise UsageError(
            "PK525", f"{there} is a file; expected a folder.", fix="name another folder."
        )
    check_writable(there / "file")


def write_folder(contents: Mapping[Path, bytes]) -> None:
    """Write files and make the folders that they need.

    Args:
        contents: of each file, by its path.

    Errors:
        PK525: a file cannot be written; nothing is left behind.
    """
    made: list[Path] = []
    try:
        for path in contents:
            _make(path.parent, made)
        write_together(contents)
        made.clear()
    except OSError as error:
        raise UsageError(
            "PK525",
            f"{error.filename} cannot be made: {error.strerror}.",
            fix="name a folder that you may write to.",
        ) from error
    finally:
        for folder in reversed(made):
            with suppress(OSError):  # other programs have put files there
                folder.rmdir()


def _make(folder: Path, made: list[Path]) -> None:
    if folder.is_dir():
        return
    _make(folder.parent, made)
    folder.mkdir()
    made.append(folder)
