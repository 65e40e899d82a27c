"""Which GPUs an engine is built for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pluginkit.device.gpus import find_gpu
from pluginkit.engine.build.build_progress import BuildObserver
from pluginkit.errors import MissingDependencyError, UsageError
from pluginkit.trt.flavour import Flavour

Capability = tuple[int, int]

#: Without a GPU and without a wish: the GeForce and workstation GPUs of the last three generations.
DEFAULT_CAPABILITIES: tuple[Capability, ...] = ((8, 6), (8, 9), (12, 0))


def parse_capability(text: str) -> Capability:
    """``"8.9"``, ``"89"`` or ``"sm_89"`` as ``(8, 9)``.

    Errors:
        PK512: none of these.
    """
    match = re.fullmatch(r"(?i)(?:sm_?)?(\d{1,2})\.?(\d)", text.strip())
    if not match:
        raise UsageError("PK512", f"compute capability '{text}' is not like 8.9, 89 or sm_89.")
    return int(match[1]), int(match[2])


def text_from_capability(capability: Capability) -> str:
    """``(8, 9)`` as ``"8.9"``."""
    return f"{capability[0]}.{capability[1]}"


def supported_capabilities(flavour: Flavour) -> list[Capability]:
    """What the flavour builds for without having the GPU; empty where it must have it."""
    members = dir(getattr(flavour.module, "ComputeCapability", None))
    return sorted(
        (int(name[2:-1]), int(name[-1])) for name in members if re.fullmatch(r"SM\d{2,3}", name)
    )


def choose_capabilities(
    flavour: Flavour, wanted: Sequence[Capability | str], observer: BuildObserver
) -> tuple[Capability, ...]:
    """The wanted capabilities, ``(8, 9)`` or ``"8.9"``, else this machine's, else the default ones.

    Errors:
        PK511: the flavour needs a GPU to build and there is none.
        PK512: the flavour cannot build for a requested one.
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
    observer.notice(f"Building for compute capability {names}: {why}, and none was named.")
    return chosen
