"""Check output files before a build, and write them whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from pluginkit.atomic_files import Data, check_name, replace_files
from pluginkit.engine.plan.manifest import manifest_path
from pluginkit.errors import UsageError


def write_atomically(path: Path, data: Data) -> None:
    """Write ``data`` to ``path``; a reader sees the old file or the whole new one.

    Errors:
        PK525: the folder is missing, read-only or full.
    """
    write_together({path: data})


def write_together(contents: Mapping[Path, Data]) -> None:
    """Write files that belong together: all of them, or none if one cannot be written.

    Errors:
        PK525: a folder is missing, read-only or full.
    """
    path = next(iter(contents))
    try:
        replace_files(contents)
    except OSError as error:
        raise UsageError(
            "PK525",
            f"{path} cannot be written: {error.strerror}.",
            fix="name a file in a folder that exists and that you may write to.",
        ) from error


def check_writable(path: Path) -> None:
    """Fail before the work whose result goes to ``path``, rather than after it.

    Errors:
        PK525: the folder is missing or read-only, or ``path`` is a folder.
    """
    problem = _why_unwritable(path)
    if problem is None:
        return
    raise UsageError(
        "PK525",
        f"{path} cannot be written: {problem}.",
        fix="name a file in a folder that exists and that you may write to.",
    )


def check_target(source: Path, target: Path, what: str = "model") -> None:
    """Refuse to write a plan and its manifest over their source, or where nothing can be written.

    Errors:
        PK525: a file cannot be written, or is the source.
    """
    for written in (target, manifest_path(target)):
        check_writable(written)
        if written.exists() and written.samefile(source):
            raise UsageError(
                "PK525",
                f"{written} is the {what}; expected another file.",
                fix="name another plan.",
            )


def _why_unwritable(path: Path) -> str | None:
    try:
        check_name(path)
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}"
        return None if os.access(path.parent, os.W_OK) else f"{path.parent} is read-only"
    except OSError as error:  # the name is too long
        return str(error.strerror)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
