"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def replace_file(path: Path, data: bytes | bytearray | memoryview) -> None:
    """Write ``data`` to ``path``; a reader sees the old file or the whole new one.

    Errors:
        OSError: the folder is missing, read-only or full; nothing is left behind.
    """
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
