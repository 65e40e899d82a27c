"""Say what the process is doing, so that its parent can read it once the process has crashed.

The notes are in memory that both share. A process that nobody watches notes nothing. Its temporary
files have names that its parent knows, which deletes them where a signal has ended the process.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

#: What TensorRT does, for :func:`working`.
PARSING, BUILDING = "parsing a model", "building an engine"
DESCRIBING = "describing a network"
DESERIALIZING, RUNNING = "deserializing a plan", "running an engine"
#: In the place of a program: the work is done, and the exit code follows.
EXITS = "exits"
_BYTES = 4096
_notes: mmap.mmap | None = None
_watched = ""


def share_notes() -> mmap.mmap:
    """Return memory that a child process, forked afterwards, writes its notes to."""
    global _notes, _watched
    _notes = mmap.mmap(-1, _BYTES)
    _watched = f"{os.urandom(4).hex()}-"  # a process id is not unique where containers share /tmp
    return _notes


def scratch_prefix(what: str) -> str:
    """Return how the name of a temporary file or folder of this process begins."""
    return f"pluginkit-{_watched}{what}-"


def delete_scratch() -> None:
    """Delete the temporary files and folders of the process that was watched."""
    import shutil
    import tempfile
    from pathlib import Path

    if not _watched:
        return
    for path in Path(tempfile.gettempdir()).glob(f"pluginkit-{_watched}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def working(program: str, action: str, subject: os.PathLike[str] | str = "") -> Iterator[None]:
    """Note during the body what a program does: ``working("tensorrt 10.16.1", PARSING, path)``."""
    before = read_notes(_notes)
    _write([program, action, os.fspath(subject)])
    try:
        yield
    finally:
        _write(before)


def note_detail(text: str) -> None:
    """Note how far the work is, such as the phase of a build."""
    _write([*read_notes(_notes)[:3], text])


def note_exit(code: int) -> None:
    """Note that the work is done, and the process about to exit with this code."""
    _write([EXITS, str(code)])


def read_notes(notes: mmap.mmap | None) -> list[str]:
    """Return what was noted last: program, action, subject, and a detail if there was one."""
    if notes is None:
        return []
    text = notes[:_BYTES].rstrip(b"\0").decode(errors="replace")
    return text.split("\n") if text else []


def _write(parts: list[str]) -> None:
    if _notes is None:
        return
    lines = [part.replace("\n", " ") for part in parts]
    data = "\n".join(lines).encode(errors="replace")[:_BYTES]
    _notes[:_BYTES] = data.ljust(_BYTES, b"\0")
