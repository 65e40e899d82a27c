"""A concrete call of a plugin, and its result: outputs, workspace, and steps on the stream."""

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
    """A call of a variant with concrete dimensions.

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
    """The result of a call, or why it is refused.

    Attributes:
        outputs: the shape and dtype of each output.
        workspace_bytes: the size of the workspace.
        steps: the arguments of each launch, copy and fill, as the driver gets them.
        refusal: the text of the error; the other attributes are then empty.
    """

    outputs: tuple[Any, ...] = ()
    workspace_bytes: int = 0
    steps: tuple[Mapping[str, Any], ...] = ()
    refusal: str = ""


def pointers(inputs: int, outputs: int) -> tuple[list[int], list[int], int]:
    """Return made-up pointers of inputs, outputs and workspace; no kernel reads them."""
    every = [_FIRST + number * _APART for number in range(inputs + outputs + 1)]
    return every[:inputs], every[inputs:-1], every[-1]
