"""The exceptions with which a check ends that does not pass: Failure and NotRun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.checking.author_line import author_line, causes, root_of
from pluginkit.errors import KernelError, PluginkitError

if TYPE_CHECKING:
    from pluginkit.contract.plugin import Case


class Failure(Exception):  # noqa: N818  # it becomes a Result, and never reaches a caller
    """A check has found a mistake.

    Args:
        where: which case, types, shapes and tensor.
        got: what the plugin did.
        expected: what it should have done.
        cause: the cause, if it is known.
        case: the case that shows it, for the script that reproduces it.
        root: a line that is equal for all failures with the same cause; "" if unknown.
    """

    def __init__(
        self,
        where: str,
        got: object,
        expected: object,
        *,
        cause: str = "",
        case: Case | None = None,
        root: str = "",
    ) -> None:
        self.where = where
        self.got = shown(got)
        self.expected = shown(expected)
        self.cause = cause
        self.case = case
        self.root = root
        super().__init__(f"{where}: got {self.got}; expected {self.expected}.")


def shown(value: object) -> str:
    """Return a shape as ``"[2, 3]"``, and any other value as str does."""
    return str(list(value)) if isinstance(value, tuple) else str(value)


#: CUDA's names for the errors of a faulty kernel, and what they mean.
_CUDA_CAUSES = (
    (
        "illegaladdress",
        "a kernel touched memory that is not its own: compute-sanitizer says where.",
    ),
    (
        "illegal_address",
        "a kernel touched memory that is not its own: compute-sanitizer says where.",
    ),
    ("launchfailure", "a kernel crashed: compute-sanitizer says where."),
    ("launch_failed", "a kernel crashed: compute-sanitizer says where."),
)


def outcome_of(
    error: Exception | SystemExit,
    where: str,
    case: Case | None = None,
    expected: str = "no exception",
) -> Failure | NotRun:
    """Turn an exception from the plugin into a Failure, or into NotRun if kernels cannot run here.

    It names only the original exception, since the later ones add nothing.
    """
    first = list(causes(error))[-1]
    if isinstance(first, KernelError) and first.code in _NOT_RUN:
        return _NOT_RUN[first.code](f"{first.message} {first.where or ''}".rstrip())
    text = str(first) if isinstance(first, PluginkitError) else f"{type(first).__name__}: {first}"
    why = [cause for word, cause in _CUDA_CAUSES if word in text.lower()]
    places = "\n".join(filter(None, (where, author_line(error))))
    return Failure(places, text, expected, cause="\n".join(why), case=case, root=root_of(error))


class NotRun(Exception):  # noqa: N818  # as Failure
    """The check does not apply to the plugin, or something that it needs is missing."""


class OutOfTime(NotRun):
    """A call takes longer than the time that is left for it."""


#: The reasons why the PTX machine cannot run a kernel, by error code.
_NOT_RUN: dict[str, type[NotRun]] = {"PK351": NotRun, "PK356": NotRun, "PK357": OutOfTime}
