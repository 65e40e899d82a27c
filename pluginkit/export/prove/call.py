"""One concrete call, and what is asked for by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pluginkit.export.variant import Variant

#: The stream of every call.
STREAM = 7
#: What the first pointer is, and how far the others lie apart.
_FIRST, _APART = 1 << 44, 1 << 52


@dataclass(frozen=True)
class VariantCall:
    """A variant with numbers for its dimensions.

    Attributes:
        variant: the variant.
        dims: for each input that the node has its dimensions; for a shape input its values.
    """

    variant: Variant
    dims: tuple[tuple[int, ...], ...]

    def __str__(self) -> str:
        return ", ".join(map(str, map(list, self.dims)))


@dataclass(frozen=True)
class CallRecord:
    """What is asked of TensorRT and the driver, or a refusal.

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
    """Device pointers that no kernel will follow: of inputs, outputs and workspace."""
    every = [_FIRST + number * _APART for number in range(inputs + outputs + 1)]
    return every[:inputs], every[inputs:-1], every[-1]
