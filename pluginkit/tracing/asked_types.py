"""Notice code that asks for the type of a value, where a traced number is no ``int``.

``isinstance`` and ``__class__`` take traced numbers for ints; ``type`` cannot be told to.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any

#: Packages that use ``type`` for other ends, or do so knowing of traced numbers.
_KNOWING = frozenset({*sys.stdlib_module_names, "numpy", "pluginkit"})


@contextmanager
def noting_asked_types() -> Iterator[list[str]]:
    """Yield a list, to which each function is added that this thread calls and that uses ``type``.

    But for ``type(self)``, and for functions of Python, numpy and pluginkit itself.
    """
    found: list[str] = []
    before = sys.getprofile()

    def see(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and _uses_type(frame.f_code) and not _is_known(frame):
            found.append(frame.f_code.co_qualname)

    sys.setprofile(see)
    try:
        yield found
    finally:
        sys.setprofile(before)


def _is_known(frame: FrameType) -> bool:
    package, *rest = str(frame.f_globals.get("__name__")).split(".")
    return package in _KNOWING and rest[:1] != ["plugins"]


@lru_cache(maxsize=4096)
def _uses_type(code: CodeType) -> bool:
    if "type" not in code.co_names:
        return False
    return any(
        one.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        and one.argval == "type"
        and then.argval != "self"
        for one, then in pairwise(dis.get_instructions(code))
    )
