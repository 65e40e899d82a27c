"""The calls of a plugin that a library is made for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType
from pluginkit.contract.plugin import Plugin

#: The least and the largest size of a dimension.
DimRange = tuple[int, int]

#: What a dimension can be where nothing more is known of it.
ANY: DimRange = (0, 2**31 - 1)


@dataclass(frozen=True)
class Variant:
    """A plugin with its attributes, on a node with these inputs, for a range of shapes.

    Attributes:
        plugin: with attributes, present inputs and tactic.
        dtypes: of the inputs that the node has.
        ranges: likewise, for each dimension; for a shape input of its values.
    """

    plugin: Plugin
    dtypes: tuple[DType, ...]
    ranges: tuple[tuple[DimRange, ...], ...]

    @property
    def ranks(self) -> tuple[int, ...]:
        """How many dimensions each input has; of a shape input how many values."""
        return tuple(map(len, self.ranges))

    @property
    def key(self) -> object:
        """What tells variants apart, apart from ranges."""
        return self.plugin, self.plugin.present, self.plugin.tactic, self.dtypes, self.ranks

    def with_tactics(self) -> Iterator[Variant]:
        """The variant with each of the plugin's tactics."""
        for tactic in self.plugin.spec.tactics or ("",):
            plugin = self.plugin.with_tactic(tactic) if tactic else self.plugin
            yield replace(self, plugin=plugin)

    def __str__(self) -> str:
        ports = calls.present_ports(self.plugin)
        described = zip(ports, self.dtypes, self.ranges, strict=True)
        inputs = ", ".join(
            f"{port.name} {dtype.name}[{', '.join(map(_text, ranges))}]"
            for port, dtype, ranges in described
        )
        tactic = f", tactic {self.plugin.tactic}" if self.plugin.tactic else ""
        return f"{self.plugin!r} on {inputs}{tactic}"


def _text(one: DimRange) -> str:
    return str(one[0]) if one[0] == one[1] else "?" if one == ANY else f"{one[0]}..{one[1]}"


def merged(variants: Iterable[Variant]) -> list[Variant]:
    """One variant for each combination of attributes, types and ranks, for all of their shapes."""
    found: dict[object, Variant] = {}
    for variant in variants:
        known = found.get(variant.key)
        if known is not None:
            variant = replace(variant, ranges=_hull(known.ranges, variant.ranges))
        found[variant.key] = variant
    return list(found.values())


def _hull(
    some: Sequence[Sequence[DimRange]], others: Sequence[Sequence[DimRange]]
) -> tuple[tuple[DimRange, ...], ...]:
    return tuple(
        tuple((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(one, other, strict=True))
        for one, other in zip(some, others, strict=True)
    )
