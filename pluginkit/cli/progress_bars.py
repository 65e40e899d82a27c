"""Draw the progress bars of builds and exports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pluginkit.cli.terminal_output import console, print_line
from pluginkit.engine.build.build_progress import BuildObserver

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class _Bars(BuildObserver):
    """Draws a bar for each running phase, inner phases indented below outer ones."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, tuple[TaskID, int]] = {}
        self._lock = threading.Lock()

    def notice(self, text: str) -> None:
        print_line(text, stderr=True)

    def phase_start(self, name: str, parent: str | None, num_steps: int) -> None:
        with self._lock:
            depth = self._tasks[parent][1] + 1 if parent in self._tasks else 0
            task = self._progress.add_task("  " * depth + name, total=num_steps)
            self._tasks[name] = task, depth

    def step_complete(self, name: str, step: int) -> None:
        with self._lock:
            if name in self._tasks:
                self._progress.update(self._tasks[name][0], completed=step + 1)

    def phase_finish(self, name: str) -> None:
        with self._lock:
            if name in self._tasks:
                self._progress.remove_task(self._tasks.pop(name)[0])


@contextmanager
def shown_progress() -> Iterator[BuildObserver]:
    """Return an observer that prints notices to stderr, with progress bars on a terminal."""
    with _drawn() as bars:
        yield _Bars(bars)


@contextmanager
def shown_phases() -> Iterator[Callable[[str, int, int], None]]:
    """Return a function of what is done now, how much of it and of how much: one bar for each."""
    with _drawn() as bars:
        tasks: dict[str, TaskID] = {}

        def report(phase: str, done: int, count: int) -> None:
            if phase not in tasks:
                for earlier in tasks.values():
                    bars.update(earlier, visible=False)
                tasks[phase] = bars.add_task(phase, total=count)
            bars.update(tasks[phase], completed=done, total=count, visible=True)

        yield report


def _drawn() -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    errors = console(stderr=True)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)
