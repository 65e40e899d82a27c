"""Report the outcomes of a plugin's checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pluginkit.errors import CheckError

CheckStatus = Literal["passed", "failed", "not run"]


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        check: its name.
        status: ``"passed"``, ``"failed"`` or ``"not run"``.
        remark: what a check that was not run lacks, or what one that passed has to say.
        where, got, expected, cause: of a failure.
        inputs: the types and shapes of the case that failed.
        root: a line that is equal for all failures with the same cause.
        same_as: an earlier check that failed for the same cause, or "".
        script: a Python script that reproduces the failure by itself.
        seconds: how long it took.
    """

    check: str
    status: CheckStatus
    remark: str = ""
    where: str = ""
    got: str = ""
    expected: str = ""
    cause: str = ""
    inputs: str = ""
    root: str = ""
    same_as: str = ""
    script: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        head = f"{self.status:<8} {self.check}"
        if self.same_as:
            return f"{head}: of the same cause as {self.same_as}"
        lines = [f"{head}: {self.remark}" if self.remark else head]
        labelled = (
            ("Where:", self.where),
            ("Inputs:", self.inputs),
            ("Got:", self.got),
            ("Expected:", self.expected),
            ("Cause:", self.cause),
        )
        for label, text in labelled:
            if text:
                lines.append(f"  {label:<10}" + text.strip().replace("\n", "\n" + " " * 12))
        return "\n".join(lines)


@dataclass(frozen=True)
class CheckReport:
    """The outcomes of all checks of one plugin.

    Attributes:
        plugin: the class's name.
        results: one for each check, in order.
    """

    plugin: str
    results: Sequence[CheckResult]

    def of(self, status: CheckStatus) -> list[CheckResult]:
        """The results with this status."""
        return [result for result in self.results if result.status == status]

    @property
    def has_failures(self) -> bool:
        """Whether any check failed."""
        return bool(self.of("failed"))

    @property
    def summary(self) -> str:
        """A line that counts the checks that passed, failed and were not run."""
        statuses: tuple[CheckStatus, ...] = ("passed", "failed", "not run")
        counts = ", ".join(f"{len(self.of(status))} {status}" for status in statuses)
        return f"{self.plugin}: {counts}"

    def __str__(self) -> str:
        return "\n".join([*map(str, self.results), self.summary])

    def raise_if_failed(self) -> None:
        """Raise an error if any check failed.

        Errors:
            PK220: a check failed; the scripts that reproduce failures follow.
        """
        failed = self.of("failed")
        if not failed:
            return
        raise CheckError(
            "PK220",
            f"{self.plugin} fails {', '.join(result.check for result in failed)}.",
            cause="\n".join(map(str, failed)),
            fix="correct the plugin; to reproduce a failure alone, run\n"
            + "\n".join(result.script for result in failed if not result.same_as),
        )

    def write_scripts(self, folder: str | Path) -> list[Path]:
        """Write a script for each failure, ``PLUGIN_CHECK.py``; returns their paths."""
        from pluginkit.engine.plan.output_files import write_atomically

        written = []
        Path(folder).mkdir(parents=True, exist_ok=True)
        for result in self.of("failed"):
            path = Path(folder) / f"{self.plugin}_{result.check}.py"
            write_atomically(path, result.script.encode())
            written.append(path)
        return written
