"""Name the TensorRT that a model is rewritten for; it need not be installed."""

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

#: The first version of each flavour for which rewritten models are tested.
_OLDEST = {"tensorrt": (10, 16), "tensorrt_lean": (10, 16), "tensorrt_rtx": (1, 4)}


@dataclass(frozen=True)
class Target:
    """A TensorRT flavour and version.

    Attributes:
        flavour: ``"tensorrt"``, ``"tensorrt_rtx"`` or ``"tensorrt_lean"``.
        version: its leading numbers; empty for any version, which has only what every version
            has.
    """

    flavour: str
    version: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.flavour} {'.'.join(map(str, self.version))}".rstrip()

    def reaches(self, since: Mapping[str, str]) -> bool:
        """Whether the version is at least the one that ``since`` gives for the flavour."""
        first = since.get(self.flavour)
        return first is not None and self.version >= numbers(first)


def target_from_text(text: str) -> Target:
    """Return the target of ``"tensorrt"`` or ``"tensorrt:10.16"``.

    Errors:
        PK600: there is no such flavour, or the version is malformed.  PK602: pluginkit does not
        support that version.
    """
    flavour, colon, version = text.partition(":")
    if flavour not in FLAVOURS or bool(colon) != bool(numbers(version)):
        raise UsageError(
            "PK600",
            f"target '{text}' is no TensorRT; expected one of {', '.join(FLAVOURS)}, "
            "with or without a version.",
            fix="write, for example, tensorrt:10.16.",
        )
    target, oldest = Target(flavour, numbers(version)), _OLDEST[flavour]
    if target.version and target.version < oldest[: len(target.version)]:
        raise UsageError(
            "PK602",
            f"target '{text}' is older than what pluginkit rewrites models for; "
            f"expected {Target(flavour, oldest)} or newer.",
            cause="an older parser refuses operators and plugins that the rewrites leave or make.",
            fix=f"write {flavour}:{'.'.join(map(str, oldest))}, and run the model in that version. "
            "For 8.6 and 10.x, pluginkit export --tensorrt writes plugins as C++ libraries.",
        )
    return target


def rewriting_target(target: Target) -> Target:
    """Return the target, or the oldest one that models are rewritten for if the target is older."""
    oldest = _OLDEST[target.flavour]
    is_older = bool(target.version) and target.version < oldest[: len(target.version)]
    return Target(target.flavour, oldest) if is_older else target


def installed_target(flavour: str | None = None) -> Target | None:
    """Return the TensorRT that ``load_flavour(flavour)`` would import, or None."""
    installed = installed_flavours()
    wanted = flavour or os.environ.get(ENVIRONMENT_VARIABLE)
    name = wanted if wanted in installed else next(iter(installed), None)
    return None if name is None else Target(name, numbers(installed_version(name) or ""))
