"""Describe what TensorRT built: the plan, its profiles, its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pluginkit.engine.build.network_inputs import inputs_of
from pluginkit.engine.build.profiles import OptimizationProfile
from pluginkit.engine.plan.library_record import LibraryRecord
from pluginkit.engine.plan.manifest import Range, Tensor


@dataclass(frozen=True)
class BuiltEngine:
    """The plan that TensorRT built, and what the manifest says about it."""

    plan: bytes
    profiles: tuple[OptimizationProfile, ...]
    ranges: tuple[Mapping[str, Range], ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    library: LibraryRecord | None


def built_engine(
    plan: bytes,
    profiles: tuple[OptimizationProfile, ...],
    network: Any,
    library: LibraryRecord | None,
) -> BuiltEngine:
    """Describe a plan.

    Args:
        plan: the plan.
        profiles: those that it was built with.
        network: the TensorRT network that it was built from.
        library: the library of plugins in it, if there is one.
    """
    shape_tensors = {one.name for one in inputs_of(network) if one.is_shape_tensor}
    ranges = tuple(
        {
            name: Range(one.min, one.opt, one.max, name in shape_tensors)
            for name, one in profile.ranges.items()
        }
        for profile in profiles
    )
    return BuiltEngine(plan, profiles, ranges, *_tensors(network), library)


def _tensors(network: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return the network's inputs and outputs."""
    from polygraphy.datatype import DataType

    def describe(tensor: Any) -> Tensor:
        dtype = DataType.from_dtype(tensor.dtype, "tensorrt")
        return Tensor(tensor.name, str(dtype.name), tuple(tensor.shape))

    inputs = tuple(describe(network.get_input(index)) for index in range(network.num_inputs))
    outputs = tuple(describe(network.get_output(index)) for index in range(network.num_outputs))
    return inputs, outputs
