"""Prepare the enqueue of shapes that are new to an adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from pluginkit.contract import calls
from pluginkit.contract.dims import Shape
from pluginkit.contract.dtypes import DType
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.tensors import TensorDesc
from pluginkit.kernels.prepare import Prepared, is_recordable, prepare
from pluginkit.kernels.recorded_enqueue import recorded_enqueues
from pluginkit.trt.prepared_wrappers import wrappers
from pluginkit.trt.recorded_sizes import RecordedSizes


@dataclass(eq=False)
class NewCall:
    """A call of shapes that nothing is prepared for.

    Attributes:
        plugin: the plugin.
        sizes: what it stated for the plan.
        places: where outputs tell the values of shape inputs; found in the first call.
        shapes: the inputs' shapes.
        outputs: the outputs' shapes, if values of shape inputs follow from them.
        dtypes: the inputs' types.
        given_bytes: the workspace that TensorRT was asked for; None if nothing tells.
    """

    plugin: Plugin
    sizes: RecordedSizes
    places: calls.ValuePlaces
    shapes: Sequence[Shape]
    outputs: Sequence[Sequence[int]]
    dtypes: Sequence[DType]
    given_bytes: int | None

    def described(self) -> tuple[calls.Inputs, tuple[TensorDesc, ...], int]:
        """Check the call; return its inputs, its outputs and the workspace in bytes."""
        plugin = self.plugin
        inputs = calls.describe_on_device(
            plugin, self.shapes, self.dtypes, lambda: self.outputs, self.places
        )
        calls.check(plugin, inputs)
        outputs = calls.describe_outputs(plugin, inputs)
        return inputs, outputs, self.sizes.check_workspace(plugin, inputs, self.given_bytes)

    def prepared(self, adapter: Any) -> Prepared:
        """Prepare the enqueue, without the author's methods if calls of its kind are recorded.

        Args:
            adapter: the adapter, for what is put around its enqueues.
        """
        if wrappers or not is_recordable(self.plugin):
            inputs, outputs, workspace_bytes = self.described()
            prepared = prepare(self.plugin, inputs, outputs, workspace_bytes)
            for wrapper in wrappers:
                prepared = wrapper(adapter, prepared, (inputs, outputs))
            return prepared
        numbers = self.numbers()
        recorded = recorded_enqueues(self.plugin, self.kind())
        known = recorded.prepared(numbers)
        if known is not None:
            return known
        prepared = prepare(self.plugin, *self.described())
        recorded.learn(
            self.plugin, prepared, numbers, lambda others: self.with_numbers(others).described()
        )
        return prepared

    def numbers(self) -> list[int]:
        """Return the numbers that the enqueue follows from."""
        given = () if self.given_bytes is None else (self.given_bytes,)
        return [*chain(*self.shapes, *self.outputs, given)]  # type: ignore[list-item]

    def kind(self) -> tuple[object, ...]:
        """Return what else it follows from: ranks, types, and whether the workspace is limited."""
        ranks = map(len, (*self.shapes, *self.outputs))
        return (*ranks, *[dtype.name for dtype in self.dtypes], self.given_bytes is None)

    def with_numbers(self, numbers: Sequence[Any]) -> NewCall:
        """Return a call of the same kind."""
        rest = iter(numbers)
        shapes = [tuple(islice(rest, len(one))) for one in self.shapes]
        outputs = [tuple(islice(rest, len(one))) for one in self.outputs]
        return replace(self, shapes=shapes, outputs=outputs, given_bytes=next(rest, None))
