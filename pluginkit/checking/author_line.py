"""Find the author's line and the original exception behind an exception."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

import pluginkit
from pluginkit.errors import KernelError

_PACKAGE = Path(pluginkit.__file__).parent
#: Folders whose code is not an author's: pluginkit (but not its plugins), Python, packages.
_OTHERS = tuple({str(_PACKAGE), *(sysconfig.get_paths()[one] for one in ("stdlib", "purelib"))})
_SHIPPED = str(_PACKAGE / "plugins")


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception, then the one that caused it, and so on to the original one."""
    while error is not None:
        yield error
        error = error.__cause__


def author_line(error: BaseException) -> str:
    """Return ``"plugin.py:12, in launches"``, or "" if no author's code was running."""
    for cause in reversed(list(causes(error))):
        for frame in reversed(traceback.extract_tb(cause.__traceback__)):
            if _is_authors(frame.filename):
                return f"{frame.filename}:{frame.lineno}, in {frame.name}"
    return ""


def root_of(error: BaseException) -> str:
    """Return a line that identifies the cause: equal for all exceptions with the same cause."""
    first = list(causes(error))[-1]
    if isinstance(first, KernelError) and first.code == "PK320" and first.cause:
        return next((line for line in first.cause.split("\n") if "error" in line), first.message)
    text = str(first).partition("\n")[0]
    return f"{author_line(error)}: {type(first).__name__}: {text}"


def _is_authors(file: str) -> bool:
    if file.startswith(_SHIPPED):
        return True
    return not file.startswith((*_OTHERS, "<"))
