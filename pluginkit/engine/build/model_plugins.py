"""Find the plugins that a model needs, and describe them for the manifest."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.contract.launches import CudaKernel
from pluginkit.contract.plugin import Plugin, Plugins
from pluginkit.contract.plugin_names import key_text, nearest
from pluginkit.contract.spec import PluginKey
from pluginkit.engine.plan.manifest import PluginNode, PluginRecord, ProfileCall
from pluginkit.errors import ModelError
from pluginkit.trt.flavour import Flavour

if TYPE_CHECKING:
    import onnx

    from pluginkit.trt.plugin_registry import Interface
    from pluginkit.trt.recorded_sizes import MemoryNeeds


def source_files(plugin: type[Plugin]) -> dict[str, Path]:
    """Return the files that determine what the plugin computes, by path relative to its module.

    They are its module, the modules of the same collection that it imports, its kernels and the
    headers that they include.
    """
    files = list(_modules_of(plugin.spec.module))
    for kernel in plugin.spec.kernels.values():
        if isinstance(kernel, CudaKernel):
            files += kernel.files
        elif kernel.path is not None:
            files.append(kernel.path)
    files = [path for path in files if path.is_file()]
    seen = {Path(os.path.relpath(path, files[0].parent)).as_posix(): path for path in files}
    return dict(sorted(seen.items()))


def _modules_of(name: str) -> Iterator[Path]:
    """Yield the files of a module and of all that it imports from its own collection of modules."""
    ours = "pluginkit.plugins"
    collection = ours if name.startswith(f"{ours}.") else name.partition(".")[0]
    waiting, met = [name], {name}
    while waiting:
        name = waiting.pop()
        path = module_file(name)
        if path is None:
            continue
        yield path
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        imported = {each for each in _imports(path, package) if each.startswith(f"{collection}.")}
        waiting += imported - met
        met |= imported


def module_file(name: str) -> Path | None:
    """Return a module's file, whether it is imported already or not."""
    if name in sys.modules:
        file = getattr(sys.modules[name], "__file__", None)
    else:
        try:
            spec = importlib.util.find_spec(name)
        except ImportError:  # no module, but a name inside a module
            spec = None
        file = spec.origin if spec is not None and spec.has_location else None
    return Path(file) if file else None


def _imports(path: Path, package: str) -> Iterator[str]:
    """Yield every name that a file imports, as a dotted path, and the packages above it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # the file was changed after its import
        return
    for node in ast.walk(tree):
        base = ""
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = importlib.util.resolve_name("." * node.level + base, package)
            base += "."
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield from itertools.accumulate(f"{base}{alias.name}".split("."), "{}.{}".format)


def source_sha256(plugin: type[Plugin]) -> str:
    """Return the SHA-256 of a plugin's source files, their names and its kernels' definitions.

    It is empty for a plugin without source files.
    """
    files = source_files(plugin)
    if not files:
        return ""
    digest = hashlib.sha256()
    for name, path in files.items():
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    for kernel in plugin.spec.kernels.values():
        if isinstance(kernel, CudaKernel):
            digest.update(kernel.definitions().encode())
    return digest.hexdigest()


def plugin_records(
    nodes: Sequence[tuple[str, Plugin]],
    calls: Iterable[tuple[Plugin, MemoryNeeds]],
    flavour: Flavour,
    interface: Interface,
) -> tuple[PluginRecord, ...]:
    """Return the manifest's entry of every plugin.

    Args:
        nodes: the path and the plugin of each plugin node.
        calls: what TensorRT asked about.
        flavour: the TensorRT that built.
        interface: the plugin interface that was asked for.
    """
    from pluginkit.trt.plugin_registry import interface_of

    by_class: dict[type[Plugin], list[PluginNode]] = {}
    for path, plugin in nodes:
        by_class.setdefault(type(plugin), []).append(PluginNode(path, plugin.to_wire()))
    calls_by_class: dict[type[Plugin], list[ProfileCall]] = {}
    for plugin, one in calls:
        shapes: list[tuple[int, ...]] = [tuple(map(int, shape)) for shape in one.shapes]
        names = tuple(dtype.name for dtype in one.dtypes)
        call = ProfileCall(plugin.to_wire(), tuple(shapes), names, one.trt_outputs)
        calls_by_class.setdefault(type(plugin), []).append(call)
    return tuple(
        PluginRecord(
            *cls.spec.key,
            interface=interface_of(cls.spec, flavour, interface),
            class_path=f"{cls.__module__}:{cls.__qualname__}",
            source_sha256=source_sha256(cls),
            nodes=tuple(used),
            calls=tuple(calls_by_class.get(cls, ())),
        )
        for cls, used in by_class.items()
    )


def check_known(model: onnx.ModelProto, plugins: Plugins, flavour: Flavour) -> None:
    """Refuse a model with a node of an unknown plugin, which the parser would not name.

    Args:
        model: the model.
        plugins: the plugins that were found.
        flavour: the TensorRT, whose registry may have plugins from elsewhere.

    Errors:
        PK523: a plugin is unknown; names the node and the nearest known plugin.
    """
    from pluginkit.trt.plugin_registry import is_registered

    registry = flavour.module.get_plugin_registry()
    for where, key in _named_plugins(model):
        if key in plugins or is_registered(registry, key):
            continue
        near = nearest(key_text(key), map(key_text, plugins))
        raise ModelError(
            "PK523",
            f"the model needs plugin {key_text(key)}, which was not found.",
            where=where,
            cause=f"the nearest is {near}." if near else None,
            fix="name the plugin's folder with --plugins, or correct the node.",
        )


def _named_plugins(model: onnx.ModelProto) -> Iterator[tuple[str, PluginKey]]:
    """Yield the place and the plugin's key of every node that names a plugin."""
    from pluginkit.onnx.model.graphs import describe, scopes

    for scope in scopes(model):
        for node in scope.graph.node:
            texts = {one.name: one.s.decode(errors="replace") for one in node.attribute if one.s}
            if node.domain == Plugin.plugin_namespace or "plugin_namespace" in texts:
                version = texts.get("plugin_version", "1")
                namespace = texts.get("plugin_namespace", node.domain)
                yield f"{scope.path}, node {describe(node)}", (node.op_type, version, namespace)
