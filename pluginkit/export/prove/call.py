"""Describe one concrete call of a plugin, and what it asks of TensorRT and the driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pluginkit.export.variant import Variant

#: The stream of every call.
STREAM = 7
#: The first pointer, and the distance from one to the next.
_FIRST, _APART = 1 << 44, 1 << 52


@dataclass(frozen=True)
class VariantCall:
    """A variant with numbers for its dimensions.

    Attributes:
        variant: the variant.
        dims: the dimensions of each input that the node has, or the values of a shape input.
    """

    variant: Variant
    dims: tuple[tuple[int, ...], ...]

    def __str__(self) -> str:
        return ", ".join(map(str, map(list, self.dims)))


@dataclass(frozen=True)
class CallRecord:
    """What one call asks of TensorRT and the driver, or why it is refused.

    Attributes:
        outputs: shape and dtype of each output.
        workspace_bytes: the scratch memory.
        steps: each launch, copy and fill with all of its numbers, as the driver sees them.
        refusal: the error's text; the other attributes are then empty.
    """

    outputs: tuple[Any, ...] = ()
    workspace_bytes: int = 0
    steps: tuple[Mapping[str, Any], ...] = ()
    refusal: str = ""


def pointers(inputs: int, outputs: int) -> tuple[list[int], list[int], int]:
    """Return invented pointers of inputs, outputs and workspace; no kernel follows them."""
    every = [_FIRST + number * _APART for number in range(inputs + outputs + 1)]
    return every[:inputs], every[inputs:-1], every[-1]
