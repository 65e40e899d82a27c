"""Find the author's line that runs, so that errors can name it."""

from __future__ import annotations

import inspect
import linecache
import sys
from types import FrameType, TracebackType

from pluginkit.contract.plugin import Plugin

_OURS = "pluginkit"
_SHIPPED = "pluginkit.plugins"


def is_authored(module: str, file: str) -> bool:
    """Whether a module is an author's, and not part of pluginkit or Python."""
    if module == _SHIPPED or module.startswith(f"{_SHIPPED}."):
        return True
    is_ours = module == _OURS or module.startswith(f"{_OURS}.")
    return not is_ours and module not in sys.stdlib_module_names and not file.startswith("<")


def current_line() -> str:
    """Return the file, number and text of the author's line that is running."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if is_authored(frame.f_globals.get("__name__", ""), frame.f_code.co_filename):
            return _line(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return "pluginkit itself"


def line_of_traceback(traceback: TracebackType | None) -> str | None:
    """Return the author's line that raised an exception; None if no author's code did."""
    found = None
    while traceback is not None:
        frame = traceback.tb_frame
        if is_authored(frame.f_globals.get("__name__", ""), frame.f_code.co_filename):
            found = _line(frame.f_code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def line_of_method(plugin: type[Plugin], name: str) -> str:
    """Return the file and line where the class defines a method."""
    method = inspect.unwrap(getattr(plugin, name))
    return _line(method.__code__.co_filename, method.__code__.co_firstlineno)


def _line(file: str, number: int) -> str:
    text = linecache.getline(file, number).strip()
    return f"{file}:{number}" + (f"\n{text}" if text else "")
