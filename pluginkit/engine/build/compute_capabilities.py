"""Choose the GPUs that an engine is built for."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence

from pluginkit.device.gpus import find_gpu
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.errors import MissingDependencyError, UsageError
from pluginkit.kernels.cuda_packages import need
from pluginkit.trt.flavour import Flavour

Capability = tuple[int, int]

#: The default without a GPU: the GeForce and workstation GPUs of the last three generations.
DEFAULT_CAPABILITIES: tuple[Capability, ...] = ((8, 6), (8, 9), (12, 0))

#: The same for aarch64: Jetson Orin and Jetson Thor.
JETSON_CAPABILITIES: tuple[Capability, ...] = ((8, 7), (11, 0))


def parse_capability(text: str) -> Capability:
    """Return ``"8.9"``, ``"89"`` or ``"sm_89"`` as ``(8, 9)``.

    Errors:
        PK512: the text is none of these.
    """
    match = re.fullmatch(r"(?i)(?:sm_?)?(\d{1,2})\.?(\d)", text.strip())
    if not match:
        raise UsageError(
            "PK512", f"compute capability is '{text}'; expected a form like 8.9, 89 or sm_89."
        )
    return int(match[1]), int(match[2])


def text_from_capability(capability: Capability) -> str:
    """Return ``(8, 9)`` as ``"8.9"``."""
    return f"{capability[0]}.{capability[1]}"


def supported_capabilities(flavour: Flavour) -> list[Capability]:
    """Return what the flavour builds for without a GPU; empty if it needs the GPU."""
    members = dir(getattr(flavour.module, "ComputeCapability", None))
    return sorted(
        (int(name[2:-1]), int(name[-1])) for name in members if re.fullmatch(r"SM\d{2,3}", name)
    )


def choose_capabilities(
    flavour: Flavour, wanted: Sequence[Capability | str], observer: BuildObserver
) -> tuple[Capability, ...]:
    """Return the requested capabilities, or this machine's, or the default ones.

    Args:
        flavour: the TensorRT that builds.
        wanted: the request, ``(8, 9)`` or ``"8.9"``; may be empty.
        observer: told when the default is chosen.

    Errors:
        PK511: the flavour needs a GPU to build and there is none.
        PK512: the flavour cannot build for a requested capability.
    """
    requested = [parse_capability(one) if isinstance(one, str) else one for one in wanted]
    gpu = find_gpu()
    here = gpu.compute_capability if gpu else None
    if flavour.needs_gpu_to_build:
        if here is None:
            raise MissingDependencyError(
                "PK511",
                f"{flavour.name} needs a GPU to build an engine; this machine has none.",
                fix="use --tensorrt tensorrt_rtx, which needs none, or a machine with a GPU.",
            )
        supported = [here]
    else:
        supported = supported_capabilities(flavour)
    for capability in requested:
        if capability not in supported:
            raise UsageError(
                "PK512",
                f"{flavour.name} {flavour.version} cannot build for compute capability "
                f"{text_from_capability(capability)} here; expected one of "
                f"{', '.join(map(text_from_capability, supported))}.",
            )
    if requested:
        return tuple(dict.fromkeys(requested))
    if here in supported:
        return (here,) if here else ()
    chosen = tuple(one for one in DEFAULT_CAPABILITIES if one in supported)
    why = f"{flavour.name} lacks this GPU's {text_from_capability(here)}" if here else "no GPU here"
    names = ", ".join(map(text_from_capability, chosen))
    observer.notice(f"Building for compute capability {names}: {why}, and none was requested.")
    return chosen


def _check_known(wanted: Sequence[Capability]) -> None:
    nvrtc = need("cuda.bindings.nvrtc")
    _, known = nvrtc.nvrtcGetSupportedArchs()
    supported = [(number // 10, number % 10) for number in known]
    for capability in wanted:
        if capability not in supported:
            _, major, minor = nvrtc.nvrtcVersion()
            raise UsageError(
                "PK512",
                f"NVRTC {major}.{minor} cannot compile for compute capability "
                f"{text_from_capability(capability)}; expected one of "
                f"{', '.join(map(text_from_capability, supported))}.",
            )


def export_capabilities(wanted: Sequence[Capability], arch: str | None) -> list[str]:
    """The GPUs that an exported library has machine code for, ascending and without dots, ``"89"``.

    Args:
        wanted: what the user named.
        arch: the processor; for another one than this machine's its GPUs are Jetsons, of Orin and
            Thor unless others are named.

    Errors:
        PK310: a package of the ``cuda`` extra is missing.  PK512: NVRTC does not know what the
        user named.
    """
    _check_known(wanted)
    gpu = find_gpu()
    is_here = arch in (None, platform.machine())
    chosen = list(wanted)
    if not chosen and is_here:
        chosen = [gpu.compute_capability] if gpu else list(DEFAULT_CAPABILITIES)
    if not chosen:
        chosen = list(JETSON_CAPABILITIES if arch == "aarch64" else DEFAULT_CAPABILITIES)
    return [f"{major}{minor}" for major, minor in sorted(dict.fromkeys(chosen))]
