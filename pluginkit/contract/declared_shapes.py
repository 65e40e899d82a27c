"""Shapes as a class declares them, with numbers and names, and what follows for a call.

``shape=("N", 2)`` says that a tensor has two dimensions, of which the second is 2, and that the
first is as long as every other dimension called N. ``None`` is a dimension of any size, ``...`` any
number of dimensions, and ``"*S"`` any number of them that are the same wherever S stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import EllipsisType
from typing import Any

from pluginkit.contract.dims import Dim, Shape
from pluginkit.contract.tensors import TensorDesc
from pluginkit.errors import TensorError

#: What a class writes for one dimension, or for several.
ShapeItem = int | str | EllipsisType | None
#: What is known of one axis: its size, its name, or nothing.
AxisLabel = int | str | None


@dataclass(frozen=True)
class DeclaredShape:
    """A shape with numbers and names.

    Attributes:
        items: what the class writes.
    """

    items: tuple[ShapeItem, ...]

    @cached_property
    def rest(self) -> int | None:
        """The position of ``...`` or a starred name; None if the number of dimensions is fixed."""
        return next((at for at, item in enumerate(self.items) if _is_several(item)), None)

    @cached_property
    def least_rank(self) -> int:
        """The number of dimensions that it has at least."""
        return len(self.items) - (self.rest is not None)

    @cached_property
    def names(self) -> list[str]:
        """The names of its dimensions, a starred one with its star."""
        return [item for item in self.items if isinstance(item, str)]

    def takes_rank(self, rank: int) -> bool:
        """Whether a tensor may have so many dimensions."""
        return rank >= self.least_rank if self.rest is not None else rank == self.least_rank

    def labels(self, rank: int) -> tuple[AxisLabel, ...]:
        """Return what is known of each axis of a tensor of this rank.

        The dimensions of ``"*S"`` are called ``"S[0]"``, ``"S[1]"`` and so on.
        """
        found: list[AxisLabel] = []
        for item in self.items:
            if not _is_several(item):
                found.append(item)  # type: ignore[arg-type]  # an ellipsis is several
                continue
            count = rank - self.least_rank
            name = item[1:] if isinstance(item, str) else None
            found += [name and f"{name}[{at}]" for at in range(count)]
        return tuple(found)

    def __str__(self) -> str:
        texts = [
            "..." if item is ... else "?" if item is None else str(item) for item in self.items
        ]
        return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"


def _is_several(item: ShapeItem) -> bool:
    return item is ... or (isinstance(item, str) and item.startswith("*"))


def shape_problem(items: Any) -> str | None:
    """Return what is wrong with a shape that a class declares, or None."""
    if not isinstance(items, tuple):
        return "expected a tuple"
    for item in items:
        if isinstance(item, str) and not item.removeprefix("*").isidentifier():
            return f"{item!r} is no name"
        if not isinstance(item, str | EllipsisType | None) and type(item) is not int:
            return f"{item!r} is no size, name, None or ..."
        if isinstance(item, int) and item < 1:
            return f"{item} is no size"
    if sum(map(_is_several, items)) > 1:
        return "only one of its items may stand for several dimensions"
    if len(items) > 8 + any(map(_is_several, items)):
        return "TensorRT allows 8 dimensions"
    return None


@dataclass
class BoundNames:
    """The sizes of the names in the shapes of a call's inputs.

    Attributes:
        dims: the size of each name; of ``"S[0]"`` for the first dimension of ``"*S"``.
        ranks: how many dimensions each starred name has, by the name with its star.
        sources: the input that each was found in.
    """

    dims: dict[str, Dim] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    sources: dict[str, TensorDesc] = field(default_factory=dict)

    def add(self, desc: TensorDesc, declared: DeclaredShape) -> None:
        """Take the sizes of an input; one that is known now goes before one that is not."""
        for name in declared.names:
            if name.startswith("*"):
                self.ranks.setdefault(name, desc.ndim - declared.least_rank)
                self.sources.setdefault(name, desc)
        for label, dim in zip(declared.labels(desc.ndim), desc.shape, strict=True):
            if isinstance(label, str):
                known = self.dims.get(label)
                if known is None or (isinstance(dim, int) and not isinstance(known, int)):
                    self.dims[label], self.sources[label] = dim, desc

    def expected(self, desc: TensorDesc, declared: DeclaredShape) -> str | None:
        """Return what an input should have been; None if it fits, as far as sizes are known."""
        for name in declared.names:
            if name.startswith("*") and self.ranks[name] != desc.ndim - declared.least_rank:
                return self._expected(declared, name)
        for label, dim in zip(declared.labels(desc.ndim), desc.shape, strict=True):
            if label is None or not isinstance(dim, int):
                continue
            if isinstance(label, int):
                if dim != label:
                    return str(declared)
            elif self.sources[label] is not desc or self.dims[label] is not dim:
                known = self.dims[label]
                if isinstance(known, int) and dim != known:
                    return self._expected(declared, label)
        return None

    def _expected(self, declared: DeclaredShape, name: str) -> str:
        known = f"{name} = {self.dims[name]}" if name in self.dims else f"the {name} of"
        joined = " as in" if name in self.dims else ""
        return f"{declared} with {known}{joined} {self.sources[name]}"

    def shape(self, declared: DeclaredShape) -> Shape:
        """Return the shape of an output whose names all occur in inputs."""
        return tuple(self._dims_of(declared))

    def _dims_of(self, declared: DeclaredShape) -> Iterator[Dim]:
        for item in declared.items:
            if isinstance(item, int):
                yield item
            elif isinstance(item, str) and item.startswith("*"):
                for at in range(self.ranks[item]):
                    yield self.dims[f"{item[1:]}[{at}]"]
            elif isinstance(item, str):
                yield self.dims[item]


def bound_names(
    shapes: Sequence[DeclaredShape | None], inputs: Sequence[TensorDesc | None]
) -> BoundNames:
    """Return the sizes of the names in the shapes of a call's inputs, whether or not these fit."""
    bound = BoundNames()
    for declared, desc in zip(shapes, inputs, strict=True):
        if declared is not None and desc is not None:
            bound.add(desc, declared)
    return bound


def result_shapes(
    shapes: Sequence[DeclaredShape | None],
    inputs: Sequence[TensorDesc | None],
    results: Sequence[tuple[DeclaredShape | None, str]],
) -> list[Shape]:
    """Return the shapes of outputs that are declared.

    Args:
        shapes: of each declared input, None where none is declared.
        inputs: the inputs.
        results: for each output its shape, or the input that has the same.
    """
    named = {desc.name: desc.shape for desc in inputs if desc is not None}
    if all([like for _, like in results]):  # noqa: C419  # a generator takes three times as long
        return [named[like] for _, like in results]
    bound = bound_names(shapes, inputs)
    return [named[like] if own is None else bound.shape(own) for own, like in results]


def check_shapes(
    owner: str, shapes: Sequence[DeclaredShape | None], inputs: Sequence[TensorDesc | None]
) -> None:
    """Compare the inputs of a call with the declared shapes, as far as their sizes are known.

    Args:
        owner: the plugin's class, for messages.
        shapes: of each declared input, None where none is declared.
        inputs: the inputs, of ranks that the shapes take.

    Errors:
        PK124: a size is another than declared, or differs from that of the same name.
    """
    bound = bound_names(shapes, inputs)
    for declared, desc in zip(shapes, inputs, strict=True):
        if declared is not None and desc is not None:
            expected = bound.expected(desc, declared)
            if expected is not None:
                raise TensorError("PK124", f"{owner}: input {desc}; expected {expected}.")


def widened(
    shapes: Sequence[DeclaredShape | None],
    opt: Sequence[Shape],
    ends: Sequence[Shape],
    widest: Callable[[Iterable[Any]], Any],
) -> list[Shape]:
    """Return one end of a profile, in which dimensions of one name are equal if they are at opt.

    TensorRT bounds each tensor by itself, so that of two lengths that are always equal one may have
    the wider bounds.

    Args:
        shapes: of each input, None where none is declared.
        opt: the inputs' sizes at the profile's opt.
        ends: at the end that is asked for.
        widest: which of several bounds is the widest, ``min`` or ``max``.
    """
    labels = [
        None if declared is None else declared.labels(len(sizes))
        for declared, sizes in zip(shapes, opt, strict=True)
    ]
    found = _by_label(labels, ends)
    if any(len(set(sizes)) > 1 for sizes in _by_label(labels, opt).values()):
        return list(ends)
    return [
        sizes
        if own is None
        else tuple(
            widest(found[label]) if isinstance(label, str) else size
            for label, size in zip(own, sizes, strict=True)
        )
        for own, sizes in zip(labels, ends, strict=True)
    ]


def _by_label(
    labels: Sequence[tuple[AxisLabel, ...] | None], shapes: Sequence[Shape]
) -> Mapping[str, list[Dim]]:
    found: dict[str, list[Dim]] = {}
    for own, sizes in zip(labels, shapes, strict=True):
        for label, size in zip(own or (), sizes if own else (), strict=True):
            if isinstance(label, str):
                found.setdefault(label, []).append(size)
    return found
