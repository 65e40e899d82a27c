"""The files of a build: checked before the work, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pluginkit.errors import UsageError
from pluginkit.files import replace_file


def write_atomically(path: Path, data: bytes | bytearray | memoryview) -> None:
    """Write ``data`` to ``path``; a reader sees the old file or the whole new one.

    Errors:
        PK525: the folder is missing, read-only or full.
    """
    try:
        replace_file(path, data)
    except OSError as error:
        raise UsageError(
            "PK525",
            f"{path} cannot be written: {error.strerror}.",
            fix="name a file in a folder that exists and that you may write to.",
        ) from error


def check_writable(path: Path) -> None:
    """Fail now rather than after the work whose result is to go to ``path``.

    Errors:
        PK525: the folder is missing or read-only, or ``path`` is a folder.
    """
    if path.is_dir():
        problem = "it is a folder"
    elif not path.parent.is_dir():
        problem = f"there is no folder {path.parent}"
    elif not os.access(path.parent, os.W_OK):
        problem = f"{path.parent} is read-only"
    else:
        return
    raise UsageError(
        "PK525",
        f"{path} cannot be written: {problem}.",
        fix="name a file in a folder that exists and that you may write to.",
    )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
