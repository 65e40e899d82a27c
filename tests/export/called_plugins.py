"""Libraries of shipped plugins for some calls, and the variants and shapes of these calls."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pluginkit import Plugin, find_plugins
from pluginkit.checking.checks.execution_checks import other_shape
from pluginkit.checking.plugin_under_test import PluginCall
from pluginkit.contract import calls
from pluginkit.export.compile.compiler import Compiler
from pluginkit.export.compile.library_builder import LibraryBuilder
from pluginkit.export.generate.generate_library import GeneratedLibrary, generate_library
from pluginkit.export.generate.kernel_names import named_kernels
from pluginkit.export.generate.kernels import KernelModule
from pluginkit.export.prove.call import VariantCall
from pluginkit.export.trace.methods import trace_plugin
from pluginkit.export.variant import Variant, merged

#: Each plugin that ships, by name.
SHIPPED: dict[str, type[Plugin]] = {
    cls.__name__: cls
    for cls in find_plugins().values()
    if cls.__module__.startswith("pluginkit.plugins.")
}


def dims_of(call: PluginCall) -> tuple[tuple[int, ...], ...]:
    """Return each input's shape; for a shape input its values."""
    ports = calls.present_ports(call.plugin)
    return tuple(
        call.values[port.name] if port.is_shape_input else shape
        for port, shape in zip(ports, call.shapes, strict=True)
    )


def variant_of(call: PluginCall) -> Variant:
    """Return the variant of the call; further calls widen its ranges."""
    ranges = tuple(tuple((size, size) for size in each) for each in dims_of(call))
    return Variant(call.plugin, tuple(call.dtypes), ranges)


def proved_call(call: PluginCall) -> VariantCall:
    """Return the call as the comparison of C++ with Python makes it."""
    return VariantCall(variant_of(call), dims_of(call))


def with_other_shapes(every: Iterable[PluginCall]) -> list[tuple[PluginCall, ...]]:
    """Return each call, together with one of another shape if the plugin accepts one."""
    return [(call, *filter(None, [other_shape(call)])) for call in every]


def generated(
    every: Iterable[PluginCall], capability: str, *, has_kernels: bool = True
) -> GeneratedLibrary:
    """Generate the C++ for the calls, with or without their kernels."""
    variants = [one for v in merged(map(variant_of, every)) for one in v.with_tactics()]
    traced = [trace_plugin(one) for one in variants]
    if has_kernels:
        return generate_library(traced, [capability])
    return generate_library(traced, [capability], named_kernels(traced))


def link(
    library: GeneratedLibrary, compiler: Compiler, layout: int, folder: Path, *interfaces: str
) -> list[Path]:
    """Link a library for ``loadLibrary`` for each of the interfaces."""
    files = [folder / f"lib{interface}.so" for interface in interfaces]
    with LibraryBuilder(library.files, compiler, layout) as builder:
        for interface, file in zip(interfaces, files, strict=True):
            builder.link(file, [f"PLUGINKIT_INTERFACE={interface.removeprefix('v')}"])
    return files


class RecordingDriver:
    """The recording driver, a double for libcuda.so.1, from Python.

    Args:
        path: its library.
    """

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.pluginkit_recording_text.restype = ctypes.c_char_p
        self._library.pluginkit_recording_count.restype = ctypes.c_int64

    def tell(self, modules: Sequence[KernelModule]) -> None:
        """Tell the driver which parameters the kernels have."""
        for module in modules:
            for symbol, sizes in zip(module.symbols, module.parameter_sizes, strict=True):
                array = (ctypes.c_int32 * len(sizes))(*sizes)
                self._library.pluginkit_recording_parameters(symbol.encode(), array, len(sizes))

    def count(self, what: str) -> int:
        """Return a count: ``"loaded"``, ``"unloaded"``, ``"retained"`` or ``"launches"``."""
        return int(self._library.pluginkit_recording_count(what.encode()))

    def steps(self, enqueue: Callable[[], None]) -> list[dict[str, Any]]:
        """Return the recorded launches, copies and fills."""
        self._library.pluginkit_recording_clear()
        enqueue()
        return [*self._steps()]

    def _steps(self) -> Iterator[dict[str, Any]]:
        for line in self._library.pluginkit_recording_text().decode().splitlines():
            step = json.loads(line)
            if step["call"] in ("launch", "copy", "fill"):
                yield step
