"""Files that are there whole or not at all, and reading what is a file indeed."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

#: The content of a file, at once or in pieces.
Data = bytes | bytearray | memoryview | Iterable[bytes]


def open_file(path: Path) -> BinaryIO:
    """``path``, open for reading.

    Errors:
        OSError: it is missing, or no regular file: a pipe would wait and a device never end.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:
        raise OSError(errno.EINVAL, "its name holds a NUL") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    raise OSError(errno.EINVAL, "it is no regular file")


def read_file(path: Path) -> bytes:
    """The content of ``path``; errors as for :func:`open_file`."""
    with open_file(path) as file:
        return file.read()


def replace_file(path: Path, data: Data) -> None:
    """Write ``data`` to ``path``; a reader sees the old file or the whole new one.

    Errors:
        OSError: the folder is missing, read-only or full; nothing is left behind.
    """
    replace_files({path: data})


def replace_files(contents: Mapping[Path, Data]) -> None:
    """Write several files that belong together: none is replaced before all are written.

    Errors:
        OSError: a folder is missing, read-only or full; nothing is left behind.
    """
    parts: dict[Path, Path] = {}
    are_written = False
    try:
        for path, data in contents.items():
            check_name(path)
            part = parts[path] = path.with_name(f".{secrets.token_hex(8)}.part")
            with part.open("xb") as file:
                if isinstance(data, (bytes, bytearray, memoryview)):
                    file.write(data)
                else:
                    file.writelines(data)
                file.flush()
                os.fsync(file.fileno())
        are_written = True
        for path, part in parts.items():
            part.replace(path)
        parts.clear()
    finally:
        for path, part in parts.items():
            if (
                are_written and not part.exists()
            ):  # it is in place, and without the others of no use
                path.unlink(missing_ok=True)
            part.unlink(missing_ok=True)


def check_name(path: Path) -> None:
    """Fail for a name that no file can have.

    Errors:
        OSError: it is too long, holds a NUL, or is that of a folder, a device or a pipe, which a
            rename would replace.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except ValueError as error:
        raise OSError(errno.EINVAL, "its name holds a NUL") from error
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file")
