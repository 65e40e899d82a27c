"""The class of checks, and how to find all in ``pluginkit.checking.checks``."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit.errors import UsageError

if TYPE_CHECKING:
    from pluginkit.checking.plugin_under_test import Subject

    #: Raises Failure or NotRun; may return a remark for the report.
    Run = Callable[[Subject], str | None]


@dataclass(frozen=True)
class Check:
    """One named check.

    Attributes:
        name: unique, and part of a test's name.
        order: checks run in ascending order.
        run: the check itself.
        needs: names of :mod:`pluginkit.checking.requirements`, all of which must be met.
        doc: what it proves, and what it does not.
    """

    name: str
    order: int
    run: Run
    needs: tuple[str, ...] = ()
    doc: str = ""

    @property
    def needs_gpu(self) -> bool:
        """Whether it needs a GPU; without one, other checks execute kernels on the PTX machine."""
        return "cuda" in self.needs

    @property
    def is_isolated(self) -> bool:
        """Whether it runs in a separate process, because it may crash."""
        # onnx_op runs ONNX Runtime, which may crash. The worker also caches the machine's kernels.
        return bool({"tensorrt", "onnx_op", "device", "cuda", "machine"} & set(self.needs))


def check(order: int, *, needs: tuple[str, ...] = ()) -> Callable[[Run], Check]:
    """Make a function a check; its name and docstring are the check's."""

    def decorate(run: Run) -> Check:
        doc = inspect.cleandoc(run.__doc__ or "")
        return Check(run.__name__, order, run, needs, doc)

    return decorate


@functools.cache
def all_checks() -> dict[str, Check]:
    """Every check by name, in order."""
    from pluginkit.checking import checks

    found: list[Check] = []
    for module in pkgutil.iter_modules(checks.__path__):
        members = vars(importlib.import_module(f"{checks.__name__}.{module.name}")).values()
        found += [member for member in members if isinstance(member, Check)]
    return {one.name: one for one in sorted(found, key=lambda one: one.order)}


def chosen_checks(only: tuple[str, ...] | None) -> list[Check]:
    """The checks of these names, or all, in order.

    Errors:
        PK221: there is no check of that name.
    """
    every = all_checks()
    for name in only or ():
        if name not in every:
            raise UsageError(
                "PK221", f"there is no check '{name}'; expected among {', '.join(every)}."
            )
    return [one for one in every.values() if only is None or one.name in only]
