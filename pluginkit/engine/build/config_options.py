"""Options that are passed on to Polygraphy's CreateConfig, and which flavour lacks which.

A new one needs a field in ``ConfigOptions``, a line in ``_KEYWORDS``, an argument in
``cli/config_arguments.py``, and a line in ``_LACKING`` for a flavour that has no such thing. What
is needed once is better done in a ``script``.
"""

from __future__ import annotations

import dataclasses
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluginkit.device.gpus import find_gpu
from pluginkit.errors import MissingDependencyError, UsageError
from pluginkit.trt.flavour import Flavour

#: The function of a script, named as Polygraphy names it.
SCRIPT_FUNCTION = "postprocess_config"


@dataclass(frozen=True)
class ConfigOptions:
    """What TensorRT's builder does besides; every default is TensorRT's own.

    Attributes:
        refit: let the weights of the engine be replaced.
        strip_weights: leave weights out of the plan that a refit brings back.
        hardware_compatibility: ``"ampere_plus"`` or ``"same_compute_capability"``, the GPUs besides
            the one that builds.
        optimization_level: 0 (builds fastest) to 5 (runs fastest).
        tactic_sources: the libraries that tactics may come from, as ``["cudnn", "cublas"]``.
        weight_streaming: let the weights stay in host memory, as far as a runtime wants.
        dla_core: the DLA that runs what it can; the GPU runs the rest.
        profiling_verbosity: ``"none"``, ``"layer_names_only"`` or ``"detailed"``, what the engine
            inspector and the profiler can tell of the layers.
        exclude_lean_runtime: leave the lean runtime out of a version-compatible plan.
        editable_timing_cache: key the timing cache by what a program can ask and change.
        script: a Python file with ``postprocess_config(builder, network, config)``, which is called
            last and may set anything.
    """

    refit: bool = False
    strip_weights: bool = False
    hardware_compatibility: str | None = None
    optimization_level: int | None = None
    tactic_sources: Sequence[str] | None = None
    weight_streaming: bool = False
    dla_core: int | None = None
    profiling_verbosity: str | None = None
    exclude_lean_runtime: bool = False
    editable_timing_cache: bool = False
    script: Path | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The options that differ from their defaults, by name."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }


#: The keyword of CreateConfig for each option, and the enumeration of its values.
_KEYWORDS: Mapping[str, tuple[str, str]] = {
    "refit": ("refittable", ""),
    "strip_weights": ("strip_plan", ""),
    "hardware_compatibility": ("hardware_compatibility_level", "HardwareCompatibilityLevel"),
    "optimization_level": ("builder_optimization_level", ""),
    "tactic_sources": ("tactic_sources", "TacticSource"),
    "weight_streaming": ("weight_streaming", ""),
    "profiling_verbosity": ("profiling_verbosity", "ProfilingVerbosity"),
    "exclude_lean_runtime": ("exclude_lean_runtime", ""),
}
_COMPILES_LATER = (
    "TensorRT-RTX chooses kernels when it loads a plan, and builds the same plan with and without"
)
#: Options that a flavour takes without any effect, or does not have: why.
_LACKING: Mapping[str, Mapping[str, str]] = {
    "tensorrt_rtx": {
        "optimization_level": _COMPILES_LATER,
        "tactic_sources": _COMPILES_LATER,
        "hardware_compatibility": "a plan of TensorRT-RTX runs on every GPU that has one of its "
        "compute capabilities; name more with --compute-capability",
        "exclude_lean_runtime": "its plans are for one version, and hold no lean runtime",
        "dla_core": "TensorRT-RTX is for GPUs alone",
        "editable_timing_cache": "TensorRT-RTX keeps no kernel timings since 1.2, and builds the "
        "same plan with and without",
    }
}
#: Options with which TensorRT-RTX compiles for the GPU at once.
_NEEDS_GPU = ("refit", "strip_weights")


def check_config(options: ConfigOptions, flavour: Flavour, version_compatible: bool) -> None:
    """Fail for what the flavour does not offer, or not here.

    Errors:
        PK513: the flavour lacks an option, or a value of it.  PK511: an option needs a GPU.
        PK528: there is no such script.
    """
    lacking = _LACKING.get(flavour.name, {})
    for name in options.given:
        if name in lacking:
            raise UsageError(
                "PK513",
                f"{flavour.name} {flavour.version} has no use for {_as_option(name)}.",
                cause=f"{lacking[name]}.",
                fix="leave it out.",
            )
        if name in _NEEDS_GPU and flavour.name == "tensorrt_rtx" and find_gpu() is None:
            raise MissingDependencyError(
                "PK511",
                f"{flavour.name} needs a GPU to build with {_as_option(name)}; this machine has "
                "none.",
                fix="build on a machine with a GPU, or leave it out.",
            )
    if options.exclude_lean_runtime and not version_compatible:
        raise UsageError(
            "PK513",
            f"{flavour.name} {flavour.version} puts a lean runtime into version-compatible plans "
            "only.",
            fix="add --version-compatible, or leave out --exclude-lean-runtime.",
        )
    if options.script is not None and not options.script.is_file():
        raise UsageError(
            "PK528",
            f"config script '{options.script}' does not exist; expected a Python file with "
            f"{SCRIPT_FUNCTION}(builder, network, config).",
        )
    config_arguments(options, flavour)


def config_arguments(options: ConfigOptions, flavour: Flavour) -> dict[str, Any]:
    """Return the keywords of CreateConfig.

    Errors:
        PK513: an option has another value than the flavour knows.
    """
    made: dict[str, Any] = {}
    for name, value in options.given.items():
        if name not in _KEYWORDS:
            continue
        keyword, enumeration = _KEYWORDS[name]
        if enumeration:
            member = _members(name, getattr(flavour.module, enumeration, None))
            value = member(value) if isinstance(value, str) else [member(each) for each in value]
        made[keyword] = value
    if options.dla_core is not None:
        made |= {"use_dla": True, "allow_gpu_fallback": True}
    return made


def _members(name: str, enumeration: Any) -> Callable[[str], Any]:
    """Return what finds a member of one of TensorRT's enumerations."""
    members = getattr(enumeration, "__members__", {})

    def member(text: str) -> Any:
        if text.upper() not in members:
            raise UsageError(
                "PK513",
                f"{_as_option(name)} is '{text}'; expected one of "
                f"{', '.join(each.lower() for each in members) or 'none in this TensorRT'}.",
            )
        return members[text.upper()]

    return member


def finish_config(
    options: ConfigOptions, flavour: Flavour, builder: Any, network: Any, config: Any
) -> None:
    """Set what CreateConfig has no keyword for, and call the script.

    Errors:
        PK513: there is no such DLA.  PK528: the script fails.
    """
    if options.dla_core is not None:
        if options.dla_core >= builder.num_DLA_cores:
            raise UsageError(
                "PK513",
                f"--dla is {options.dla_core}; this machine has {builder.num_DLA_cores} DLA cores.",
                fix="name one that it has, from 0 on, or leave it out.",
            )
        config.DLA_core = options.dla_core
    if options.editable_timing_cache:
        config.set_flag(flavour.module.BuilderFlag.EDITABLE_TIMING_CACHE)
    if options.script is None:
        return
    try:
        _script_function(options.script)(builder, network, config)
    except (Exception, SystemExit) as error:  # a script raises anything
        raise UsageError(
            "PK528",
            f"config script '{options.script}' failed.",
            cause=f"{type(error).__name__}: {error}",
            fix=f"correct {SCRIPT_FUNCTION}(builder, network, config) in it.",
        ) from error


def _script_function(script: Path) -> Callable[[Any, Any, Any], object]:
    """Run a script and return its function.

    Polygraphy's InvokeFromScript would import the script by name: it hides what the script raises,
    and takes another module for a script that is called like one.
    """
    sys.path.insert(0, str(script.parent.resolve()))  # the script may import its neighbours
    try:
        found = runpy.run_path(str(script))
    finally:
        sys.path.pop(0)
    if SCRIPT_FUNCTION not in found:
        raise NameError(f"it defines no {SCRIPT_FUNCTION}")
    function: Callable[[Any, Any, Any], object] = found[SCRIPT_FUNCTION]
    return function


def _as_option(name: str) -> str:
    return "--" + ("dla" if name == "dla_core" else name.replace("_", "-"))
