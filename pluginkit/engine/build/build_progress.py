"""Tell the caller of a build how far it is, and stop the build when the caller says so."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from pluginkit.current_work import note_detail


class BuildObserver:
    """What a build calls to report progress, on any thread; this one ignores it all."""

    def notice(self, text: str) -> None:
        """Report a choice that pluginkit made for the user, in one sentence."""

    def phase_start(self, name: str, parent: str | None, num_steps: int) -> None:
        """Report that a phase of ``num_steps`` steps begins, inside the phase ``parent``."""

    def step_complete(self, name: str, step: int) -> None:
        """Report that step ``step`` of a phase is done."""

    def phase_finish(self, name: str) -> None:
        """Report that a phase is over, possibly before all its steps."""


def progress_monitor(trt: Any, observer: BuildObserver, is_cancelled: Callable[[], bool]) -> Any:
    """Return an IProgressMonitor that tells ``observer`` and stops once ``is_cancelled``."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, name: str, parent: str | None, num_steps: int) -> None:
            note_detail(f"phase '{name}'")
            _tell(observer.phase_start, name, parent, num_steps)

        def step_complete(self, name: str, step: int) -> bool:
            _tell(observer.step_complete, name, step)
            return not is_cancelled()

        def phase_finish(self, name: str) -> None:
            _tell(observer.phase_finish, name)

    return Monitor()


def _tell(method: Callable[..., None], *args: object) -> None:
    """Call an observer; what it raises must not reach TensorRT's C++."""
    try:
        method(*args)
    except Exception as error:
        warnings.warn(f"build observer failed: {error!r}", RuntimeWarning, stacklevel=2)
