"""Write files atomically: a reader sees the old file or the whole new one.

Only regular files are read and written: a pipe would block, and a device never ends.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

#: The content of a file, whole or in pieces.
Data = bytes | bytearray | memoryview | Iterable[bytes]


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading.

    Errors:
        OSError: it does not exist, or is no regular file.
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
    """Return the content of a file; errors as for :func:`open_file`."""
    with open_file(path) as file:
        return file.read()


def replace_file(path: Path, data: Data) -> None:
    """Write ``data`` to ``path``; a reader sees the old file or the whole new one.

    Errors:
        OSError: the folder is missing, read-only or full; nothing is left behind.
    """
    replace_files({path: data})


def replace_files(contents: Mapping[Path, Data]) -> None:
    """Write several files that belong together: all are written before the first is replaced.

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
            is_replaced = are_written and not part.exists()
            if is_replaced:  # of no use without the others
                path.unlink(missing_ok=True)
            part.unlink(missing_ok=True)


def check_name(path: Path) -> None:
    """Refuse a path that no regular file can have.

    Errors:
        OSError: the name is too long or holds a NUL, or the path is a folder, a device or a pipe,
            which a rename would replace.
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
