"""Which axes of inputs declared shapes link, found once for all calls of the same ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pluginkit.contract.declared_shapes import DeclaredShape
from pluginkit.contract.tensors import TensorDesc
from pluginkit.errors import UnknownDimError


@dataclass(frozen=True)
class LinkedAxes:
    """What declared shapes say of inputs of some ranks.

    Attributes:
        fixed: the input, its axis, and the axis's size.
        equal: an input and its axis, and those of the first axis of the same name.
    """

    fixed: tuple[tuple[int, int, int], ...]
    equal: tuple[tuple[int, int, int, int], ...]

    def fit(self, inputs: Sequence[TensorDesc | None]) -> bool:
        """Whether the shapes of the inputs fit; False as well if a size is not known yet."""
        shapes: Any = [desc and desc.shape for desc in inputs]
        try:
            for number, axis, size in self.fixed:
                if shapes[number][axis] != size:
                    return False
            for number, axis, other, first in self.equal:
                if shapes[number][axis] != shapes[other][first]:
                    return False
        except UnknownDimError:
            return False
        return True


def linked_axes(
    shapes: Sequence[DeclaredShape | None], ranks: Sequence[int | None]
) -> LinkedAxes | None:
    """Return the axes that declared shapes link; None if the ranks do not fit each other.

    Args:
        shapes: of each declared input, None where none is declared.
        ranks: of each input, None for one that the node lacks.
    """
    fixed, equal = [], []
    first: dict[str, tuple[int, int]] = {}
    starred: dict[str, int] = {}
    for number, (declared, rank) in enumerate(zip(shapes, ranks, strict=True)):
        if declared is None or rank is None:
            continue
        count = rank - declared.least_rank
        if any(starred.setdefault(n, count) != count for n in declared.names if n.startswith("*")):
            return None
        for axis, label in enumerate(declared.labels(rank)):
            if isinstance(label, int):
                fixed.append((number, axis, label))
            elif label is not None and (number, axis) != first.setdefault(label, (number, axis)):
                equal.append((number, axis, *first[label]))
    return LinkedAxes(tuple(fixed), tuple(equal))
