"""Variants: the calls of a plugin that a library supports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pluginkit.contract import calls
from pluginkit.contract.dtypes import DType
from pluginkit.contract.plugin import Plugin

#: The smallest and the largest size of a dimension.
DimRange = tuple[int, int]

#: The range of a dimension about which nothing is known.
ANY: DimRange = (0, 2**31 - 1)


@dataclass(frozen=True)
class Variant:
    """One plugin with its attributes, for one choice of inputs and types and a range of shapes.

    Attributes:
        plugin: the plugin with its attributes, present inputs and tactic.
        dtypes: the types of the inputs that the node has.
        ranges: for each of these inputs the range of each dimension, or of each value of a shape
            input.
    """

    plugin: Plugin
    dtypes: tuple[DType, ...]
    ranges: tuple[tuple[DimRange, ...], ...]

    @property
    def ranks(self) -> tuple[int, ...]:
        """The number of dimensions of each input; for a shape input, the number of values."""
        return tuple(map(len, self.ranges))

    @property
    def key(self) -> object:
        """All that distinguishes variants, except their ranges."""
        return self.plugin, self.plugin.present, self.plugin.tactic, self.dtypes, self.ranks

    def with_tactics(self) -> Iterator[Variant]:
        """Yield one variant for each tactic of the plugin."""
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
    """Merge variants that differ only in their ranges; the result covers all of their shapes."""
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
