"""Describe what TensorRT built: the plan, its profiles, its inputs and outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluginkit
from pluginkit.contract.plugin import Plugin
from pluginkit.engine.build.build_options import ResolvedOptions
from pluginkit.engine.build.compute_capabilities import text_from_capability
from pluginkit.engine.build.model_plugins import plugin_records
from pluginkit.engine.build.profiles import OptimizationProfile
from pluginkit.engine.plan.library_record import LibraryRecord
from pluginkit.engine.plan.manifest import Manifest, Range, Tensor
from pluginkit.engine.plan.output_files import sha256_of
from pluginkit.onnx.inference.network_inputs import inputs_of
from pluginkit.trt.collected_calls import CollectedCalls
from pluginkit.trt.flavour import Flavour


@dataclass(frozen=True)
class BuiltPlan:
    """A finished build.

    Attributes:
        plan_path: the plan; its manifest is the file next to it, see ``manifest_path``.
        manifest: the manifest's content.
        profiles: the optimization profiles, and which ranges pluginkit chose.
        seconds: the build's duration, from reading the source to saving the plan.
    """

    plan_path: Path
    manifest: Manifest
    profiles: tuple[OptimizationProfile, ...]
    seconds: float


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


def manifest_of(
    engine: BuiltEngine,
    flavour: Flavour,
    resolved: ResolvedOptions,
    source: Path,
    nodes: Sequence[tuple[str, Plugin]],
    calls: CollectedCalls,
    words: tuple[str, ...] = (),
) -> Manifest:
    """Return the manifest of a plan.

    Args:
        engine: the plan.
        flavour: the TensorRT that built it.
        resolved: how it was built.
        source: the model, or the script that described the network.
        nodes: the path and the plugin of each plugin node or layer.
        calls: those that TensorRT asked plugins about.
        words: those that have numbers in it.
    """
    return Manifest(
        pluginkit=pluginkit.__version__,
        flavour=flavour.name,
        tensorrt=flavour.version,
        is_version_compatible=resolved.options.version_compatible,
        compute_capabilities=tuple(map(text_from_capability, resolved.capabilities)),
        plan_bytes=len(engine.plan),
        plan_sha256=hashlib.sha256(engine.plan).hexdigest(),
        model=source.name,
        model_sha256=sha256_of(source),
        inputs=engine.inputs,
        outputs=engine.outputs,
        profiles=engine.ranges,
        plugins=plugin_records(nodes, calls, flavour, resolved.options.interface),
        library=engine.library,
        words=words,
    )
