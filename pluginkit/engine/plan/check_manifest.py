"""Check a plan's manifest against the plan, the TensorRT, the GPU and the plugins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pluginkit.engine.plan.manifest import Manifest, PluginRecord, read_manifest
from pluginkit.engine.plan.output_files import sha256_of
from pluginkit.errors import PlanError


def check_manifest(
    plan_path: str | Path,
    *,
    flavour: str | None = None,
    tensorrt: str | None = None,
    compute_capabilities: Sequence[str] | None = None,
    plugin_sources: Mapping[tuple[str, str, str], str] | None = None,
    allow_host_code: bool = False,
) -> Manifest:
    """Read a plan's manifest and compare it with the plan and with what will run it.

    Args:
        plan_path: the plan; its manifest is in the same folder.
        flavour: the TensorRT flavour that will run it; None for no check.
        tensorrt: its version; None for no check.
        compute_capabilities: those of the GPUs that will run it, ``["8.9"]``; None for no check.
        plugin_sources: the source hash of every plugin that was found, by registry key; None for no
            check. A plan that holds its plugins needs none.
        allow_host_code: run the library that a plan holds although the plan differs from the one
            that its manifest describes.

    Errors:
        PK530: the plan cannot be read.  PK531: there is no manifest.  PK532: the manifest is
            damaged.
        PK533: something does not fit; the cause lists every reason.
        PK534: the plan holds a library, and is another plan than the one that was built.
    """
    plan_path = Path(plan_path)
    manifest = read_manifest(plan_path)
    problems = _plan_problems(plan_path, manifest)
    if problems and manifest.library is not None:
        _check_trusted(plan_path, problems, allow_host_code)
        problems = []
    if flavour is not None:
        problems += tensorrt_problems(manifest, flavour, tensorrt)
    if compute_capabilities is not None:
        problems += gpu_problems(manifest, compute_capabilities)
    missing: list[str] = []
    if plugin_sources is not None and manifest.library is None:
        problems += _changed_plugins(manifest, plugin_sources)
        missing = _missing_plugins(manifest, plugin_sources)
        problems += missing
    if problems:
        raise PlanError(
            "PK533",
            f"{plan_path} does not fit: {problems[0]}"
            if len(problems) == 1
            else f"{plan_path} does not fit, for {len(problems)} reasons.",
            cause="\n".join(problems) if len(problems) > 1 else None,
            fix="build the plan again, here: pluginkit build."
            if problems != missing
            else "name the folder of its plugins with --plugins, or run it in its project.",
        )
    return manifest


def _plan_problems(plan_path: Path, manifest: Manifest) -> list[str]:
    try:
        size = plan_path.stat().st_size
        if size != manifest.plan_bytes:
            how = "truncated" if size < manifest.plan_bytes else "another file"
            return [f"the plan is {how}: {size} bytes; its manifest says {manifest.plan_bytes}."]
        if sha256_of(plan_path) != manifest.plan_sha256:
            return [
                "the plan was changed after it was built: its SHA-256 differs from the manifest's."
            ]
    except OSError as error:
        raise PlanError("PK530", f"{plan_path} cannot be read: {error.strerror}.") from error
    return []


def _check_trusted(plan_path: Path, problems: Sequence[str], allow_host_code: bool) -> None:
    """Refuse a plan with a library that is not the one that its manifest describes."""
    if not allow_host_code:
        raise PlanError(
            "PK534",
            f"{plan_path} holds a library, which is code, and is not the plan that its manifest "
            "describes.",
            cause="\n".join(problems),
            fix="build the plan again, or give --allow-host-code if you trust where it comes from.",
        )


def tensorrt_problems(manifest: Manifest, flavour: str, version: str | None) -> list[str]:
    """Say in words why a TensorRT does not load a plan; its version may be unknown."""
    if manifest.flavour != flavour:
        return [f"it was built with {manifest.flavour} {manifest.tensorrt}; this is {flavour}."]
    if version is None or manifest.tensorrt == version:
        return []
    if manifest.is_version_compatible and _is_later(version, manifest.tensorrt):
        return []
    return [f"it was built with {manifest.flavour} {manifest.tensorrt}; this is version {version}."]


def _is_later(version: str, built: str) -> bool:
    """Whether ``version`` loads a version-compatible plan of ``built``: same major, not older."""
    here, there = (
        [int(part) for part in re.findall(r"[0-9]{1,9}", text)] for text in (version, built)
    )
    return here[:1] == there[:1] and here >= there


def gpu_problems(manifest: Manifest, capabilities: Sequence[str]) -> list[str]:
    """Say in words why GPUs do not run a plan."""
    if set(capabilities) & set(manifest.compute_capabilities):
        return []
    built = ", ".join(manifest.compute_capabilities)
    return [
        f"it was built for compute capability {built}; the GPU here has {', '.join(capabilities)}."
    ]


def _changed_plugins(manifest: Manifest, sources: Mapping[tuple[str, str, str], str]) -> list[str]:
    return [
        f"{_label(plugin)} has changed since the plan was built."
        for plugin in manifest.plugins
        if sources.get(plugin.key, plugin.source_sha256) != plugin.source_sha256
    ]


def _missing_plugins(manifest: Manifest, sources: Mapping[tuple[str, str, str], str]) -> list[str]:
    problems = []
    for plugin in manifest.plugins:
        if plugin.key not in sources:
            problems.append(f"it needs {_label(plugin)}; {found_instead(plugin, sources)}.")
    return problems


def found_instead(plugin: PluginRecord, keys: Iterable[tuple[str, str, str]]) -> str:
    """Say in words what was found in the place of a plugin that is missing.

    Args:
        plugin: the plugin.
        keys: the registry keys of all plugins that were found.
    """
    others = [key[1] for key in keys if (key[0], key[2]) == (plugin.name, plugin.namespace)]
    return f"version {', '.join(others)} is there" if others else "it is not there"


def _label(plugin: PluginRecord) -> str:
    return (
        f"plugin {plugin.name} version {plugin.version} of namespace '{plugin.namespace}' "
        f"({plugin.class_path})"
    )
