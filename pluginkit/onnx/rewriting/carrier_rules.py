"""What is asked of the rules by which values are carried in other types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from pluginkit.onnx.rewriting.carried_node import CarriedNode


class CarrierRules(Protocol):
    """Which types are carried, and how operators work on carriers."""

    @property
    def carriers(self) -> Mapping[str, str]:
        """The carrier of each type: ``{"uint8": "int32"}``."""
        ...

    @property
    def everywhere(self) -> Collection[str]:
        """The types that are carried through branches and bodies too."""
        ...

    def carries(self, node: CarriedNode) -> bool:
        """Whether a node that reads or makes values of such types is to work on carriers."""
        ...

    def convert(self, node: CarriedNode) -> None:
        """Add nodes that do on carriers what the node does on the values themselves."""
        ...
