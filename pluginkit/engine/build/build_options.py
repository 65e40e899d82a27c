"""Options for building an engine, and whether a TensorRT offers them.

A new option needs a field in ``BuildOptions``, a check in ``check_options``, its use in
``builder_config``, and an argument in ``cli/commands/build.py``. Those that only go to Polygraphy's
CreateConfig are in ``ConfigOptions``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.contract.plugin import Plugin
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.engine.build.compute_capabilities import Capability, choose_capabilities
from pluginkit.engine.build.config_options import ConfigOptions, check_config
from pluginkit.engine.plan.library_record import LibraryRecord
from pluginkit.engine.plan.output_files import check_writable
from pluginkit.errors import MissingDependencyError, UsageError
from pluginkit.trt.flavour import Flavour

if TYPE_CHECKING:
    from pluginkit.onnx.precision.precision_options import Precision, Quantization
    from pluginkit.trt.plugin_registry import Interface


@dataclass(frozen=True)
class BuildOptions:
    """How to build an engine; the defaults suit this machine.

    Which TensorRT builds:
        flavour: ``"tensorrt"`` or ``"tensorrt_rtx"``; by default the one that is installed.
        interface: the plugins' interface, ``"v2"``, ``"v3"`` or ``"auto"`` for what fits the
            flavour.

    Where the engine runs:
        compute_capabilities: the GPUs, ``[(8, 9)]`` or ``["8.9"]``; by default this machine's.
        version_compatible: let later TensorRT versions of the same major version load the plan.

    How the engine computes:
        fp16: let it compute in float16 (TensorRT 10; elsewhere the model gives the precision).
        tf32: let products of float32 round their inputs to TF32, which is TensorRT's default.
        precision: the 16-bit type, or int8, that is put into the model after the rewrites.

    What the build may use:
        workspace_bytes: the most scratch memory for one layer, in bytes; by default TensorRT's own
            limit.
        timing_cache: a file of kernel timings to read, if it exists, and to update.

        config: refit, weight streaming and other options of TensorRT's builder.

    What the plan holds:
        mark: values inside the model that become outputs too, by name or pattern, to compare them.
        standalone: its plugins too, as a library that is made from their classes, so that the
            engine runs without Python.
    """

    flavour: str | None = None
    interface: Interface = "auto"
    compute_capabilities: Sequence[Capability | str] = ()
    version_compatible: bool = False
    fp16: bool = False
    tf32: bool = True
    precision: Precision | Quantization | None = None
    workspace_bytes: int | None = None
    timing_cache: str | Path | None = None
    mark: Sequence[str] = ()
    standalone: bool = False
    config: ConfigOptions = ConfigOptions()


@dataclass(frozen=True)
class ResolvedOptions:
    """Options that the flavour offers, and what was chosen for this model and machine.

    Attributes:
        options: the options.
        capabilities: the compute capabilities to build for.
        has_aliased_io: whether an output of a plugin takes over an input's memory.
        plugin_library: what goes into the plan with its plugins, "" for nothing.
        library: what the manifest keeps of it.
    """

    options: BuildOptions
    capabilities: tuple[Capability, ...]
    has_aliased_io: bool = False
    plugin_library: str = ""
    library: LibraryRecord | None = None

    @property
    def is_typed(self) -> bool:
        """Whether the types of the network are binding also for TensorRT 10.

        Weights are streamed in such networks alone.
        """
        return self.options.precision is not None or self.options.config.weight_streaming

    @property
    def timing_cache(self) -> Path | None:
        """The file of kernel timings."""
        return None if self.options.timing_cache is None else Path(self.options.timing_cache)


def resolve_options(
    options: BuildOptions,
    flavour: Flavour,
    plugins: Iterable[type[Plugin]],
    observer: BuildObserver,
) -> ResolvedOptions:
    """Check the options and choose compute capabilities.

    Args:
        options: what the user asked for.
        flavour: the TensorRT that builds.
        plugins: the plugins of the model.
        observer: told of the choice.

    Errors:
        PK511, PK512: as for ``choose_capabilities``; otherwise as for :func:`check_options`.
    """
    check_options(options, flavour)
    capabilities = choose_capabilities(flavour, tuple(options.compute_capabilities), observer)
    has_aliased_io = any(plugin.spec.has_aliases for plugin in plugins)
    return ResolvedOptions(options, capabilities, has_aliased_io)


def check_options(options: BuildOptions, flavour: Flavour) -> None:
    """Fail for what the flavour does not offer.

    Errors:
        PK510: the flavour builds no engines.  PK513: it has no V2 plugins in its parser, no fp16
            option, no version compatibility, no room for a library, or another option.
        PK511, PK528: as for ``check_config``.
        PK525: the timing cache cannot be written.  PK526: the workspace is out of range.
    """
    _check_flavour(options, flavour)
    flags = getattr(flavour.module, "BuilderFlag", None)
    if options.fp16 and not hasattr(flags, "FP16"):
        raise UsageError(
            "PK513",
            f"{flavour.name} {flavour.version} has no fp16 option: precision comes from the model, "
            "for its networks are strongly typed.",
            fix="add --precision float16, which puts it into the model.",
        )
    if options.fp16 and options.precision is not None:
        raise UsageError(
            "PK513",
            "fp16 lets TensorRT choose types, and precision puts them into the model; expected one "
            "of the two.",
            fix="leave out --fp16.",
        )
    if options.fp16 and options.config.weight_streaming:
        raise UsageError(
            "PK513",
            f"{flavour.name} {flavour.version} streams the weights of strongly typed networks "
            "alone, and fp16 lets it choose types; expected one of the two.",
            fix="add --precision float16 instead of --fp16.",
        )
    if options.version_compatible and flavour.name == "tensorrt_rtx":
        raise UsageError(
            "PK513", f"{flavour.name} {flavour.version} builds no version-compatible plans."
        )
    if options.standalone and flavour.name == "tensorrt" and not options.version_compatible:
        raise UsageError(
            "PK513",
            f"{flavour.name} {flavour.version} keeps a library in version-compatible plans only.",
            fix="add --version-compatible.",
        )
    if options.workspace_bytes is not None and not 0 < options.workspace_bytes < 2**63:
        raise UsageError(
            "PK526", f"workspace is {options.workspace_bytes} bytes; expected 1 to 2**63 - 1."
        )
    check_config(options.config, flavour, options.version_compatible)
    if options.config.editable_timing_cache and options.timing_cache is None:
        raise UsageError(
            "PK513",
            "--editable-timing-cache is given without a timing cache.",
            fix="add --timing-cache FILE.",
        )
    if options.timing_cache is not None:
        check_writable(Path(options.timing_cache))


def _check_flavour(options: BuildOptions, flavour: Flavour) -> None:
    if not flavour.has_builder or not flavour.has_parser:
        raise MissingDependencyError(
            "PK510",
            f"{flavour.name} builds no engines; expected tensorrt or tensorrt_rtx.",
            fix="choose another with --tensorrt or PLUGINKIT_TENSORRT.",
        )
    if options.interface == "v2" and not flavour.parser_takes_v2:
        raise UsageError(
            "PK513",
            f"{flavour.name}'s ONNX parser takes IPluginV3 plugins only; interface is 'v2'.",
            fix="leave the interface to pluginkit, or use --tensorrt tensorrt.",
        )
