"""The TensorRT that a model is rewritten for, which need not be the one that is installed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pluginkit.errors import UsageError
from pluginkit.trt.flavour import (
    ENVIRONMENT_VARIABLE,
    FLAVOURS,
    installed_flavours,
    installed_version,
    numbers,
)


@dataclass(frozen=True)
class Target:
    """A TensorRT flavour and version.

    Attributes:
        flavour: ``"tensorrt"``, ``"tensorrt_rtx"`` or ``"tensorrt_lean"``.
        version: its leading numbers; empty when any version is meant, which has nothing that came
            later than the first.
    """

    flavour: str
    version: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.flavour} {'.'.join(map(str, self.version))}".rstrip()

    def reaches(self, since: Mapping[str, str]) -> bool:
        """Whether it is at least the version that ``since`` gives for its flavour."""
        first = since.get(self.flavour)
        return first is not None and self.version >= numbers(first)


def target_from_text(text: str) -> Target:
    """``"tensorrt"`` or ``"tensorrt:10.16"``.

    Errors:
        PK600: no flavour is called so, or the version is no version.
    """
    flavour, colon, version = text.partition(":")
    if flavour not in FLAVOURS or bool(colon) != bool(numbers(version)):
        raise UsageError(
            "PK600",
            f"target '{text}' is no TensorRT; expected one of {', '.join(FLAVOURS)}, "
            "with or without a version.",
            fix="write tensorrt:10.16, say.",
        )
    return Target(flavour, numbers(version))


def installed_target(flavour: str | None = None) -> Target | None:
    """The TensorRT that ``load_flavour(flavour)`` would import, None where there is none."""
    installed = installed_flavours()
    wanted = flavour or os.environ.get(ENVIRONMENT_VARIABLE)
    name = wanted if wanted in installed else next(iter(installed), None)
    return None if name is None else Target(name, numbers(installed_version(name) or ""))
