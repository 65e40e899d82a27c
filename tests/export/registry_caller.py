"""Call plugins from a real TensorRT's registry, through the functions that TensorRT calls.

The calls are in cpp/registry_caller.cpp. This module passes it nodes, profiles, shapes, pointers.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import POINTER, c_char_p, c_int32, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluginkit import Plugin
from tests.export.building import build_caller
from tests.export.structures import TYPES, Answers, Profile, Shape

#: The functions of cpp/registry_caller.cpp that do not return a pointer.
_RESULTS = {
    "reason": c_char_p,
    "version": c_int32,
    "said": c_char_p,
    "deregister_library": None,
    "interface": c_int32,
    "answers": POINTER(Answers),
    "forget": None,
    "detach": None,
    "announce": c_int32,
    "enqueue": c_int32,
}


class PluginRefusedError(Exception):
    """A plugin refused a step; the message is the log."""


def lean_library() -> Path | None:
    """The library of the installed tensorrt_lean."""
    spec = importlib.util.find_spec("tensorrt_lean_libs")
    folders = (spec.submodule_search_locations if spec else None) or ()
    found = (each for folder in folders for each in Path(folder).glob("libnvinfer_lean.so.*"))
    return next(found, None)


def opened_lean(folder: Path) -> TensorRT | None:
    """tensorrt_lean, if it is installed, with the C++ compiled into a folder."""
    library = lean_library()
    if library is None:
        return None
    layout = int(library.suffix.removeprefix("."))  # libnvinfer_lean.so.11
    build_caller(folder / "caller.so", layout)
    return TensorRT(library, folder / "caller.so")


@dataclass(frozen=True)
class Layer:
    """What a plan stores of one plugin, and the plugin's answers while it was built.

    Attributes:
        plugin: the plugin.
        profile: the profile of the node.
        handle: the layer's handle in the C++.
        output_dtypes: the types that the plugin states.
        output_shapes: the shapes at the profile's opt; a dimension that depends on data has its
            upper bound.
        workspace_bytes: the workspace for the whole profile.
        aliased_inputs: for each output the input that it aliases, or -1.
        tactics: the number of tactics.
    """

    plugin: Plugin
    profile: Profile
    handle: int
    output_dtypes: list[str]
    output_shapes: list[Shape]
    workspace_bytes: int
    aliased_inputs: list[int]
    tactics: int


class TensorRT:
    """The registry of a TensorRT library, called from C++.

    Args:
        library: the TensorRT library, such as ``libnvinfer_lean.so.11``.
        caller: the C++, compiled for that major version.
    """

    def __init__(self, library: Path, caller: Path) -> None:
        self._dll = ctypes.CDLL(str(caller))
        self._handle = self.call("open", str(library).encode())
        if not self._handle:
            raise OSError(self.call("reason").decode())

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the C++; ints are passed as pointers."""
        function = getattr(self._dll, f"caller_{name}")
        function.restype = _RESULTS.get(name, c_void_p)
        return function(*(c_void_p(one) if isinstance(one, int) else one for one in arguments))

    def checked(self, found: Any) -> Any:
        """Return the result of a call of a plugin.

        Raises:
            PluginRefusedError: there is none.
        """
        if not found:
            raise PluginRefusedError(f"{self.call('reason').decode()}: {self.said()}")
        return found

    @property
    def major(self) -> int:
        """TensorRT's major version."""
        return int(self.call("version", self._handle)) // 10000

    def said(self) -> str:
        """Return the log since the last call."""
        return str(self.call("said", self._handle).decode())

    def load_library(self, library: Path) -> int | None:
        """Load a library; return the registry's handle, or None if it refuses."""
        handle: int | None = self.call("load_library", self._handle, str(library).encode())
        return handle

    def deregister_library(self, handle: int) -> None:
        """Deregister a library."""
        self.call("deregister_library", self._handle, handle)

    @contextmanager
    def loaded(self, library: Path) -> Iterator[None]:
        """Load a library, and deregister it at the end."""
        handle = self.load_library(library)
        assert handle is not None, self.said()
        try:
            yield
        finally:
            self.deregister_library(handle)

    def interface(self, key: tuple[str, str, str]) -> str | None:
        """The interface of a plugin in the registry, ``"v2"`` or ``"v3"``, or None."""
        creator = self._creator(key)
        return None if creator is None else f"v{self.call('interface', creator)}"

    def _creator(self, key: tuple[str, str, str]) -> int | None:
        found: int | None = self.call("creator", self._handle, *(each.encode() for each in key))
        return found

    @contextmanager
    def built(self, plugin: Plugin, profile: Profile, name: str = "node") -> Iterator[Layer]:
        """Build a plugin on a node, and store what a plan stores.

        Raises:
            PluginRefusedError: the plugin refuses a step.
        """
        creator = self._creator(plugin.spec.key)
        assert creator is not None, plugin.spec.key
        node = profile.node(plugin, name)
        handle = self.checked(self.call("build", creator, ctypes.byref(node)))
        found, count = self.call("answers", handle)[0], len(plugin.spec.outputs)
        names = {number: name for name, number in TYPES.items()}
        try:
            yield Layer(
                plugin,
                profile,
                handle,
                [names[each] for each in found.output_types[:count]],
                [found.output_shapes[number].shape for number in range(count)],
                found.workspace_bytes,
                list(found.aliased_inputs[:count]),
                found.tactic_count,
            )
        finally:
            self.call("forget", handle)

    @contextmanager
    def attached(self, layer: Layer) -> Iterator[Context]:
        """Open an execution context of the plugin that is created from the plan.

        Raises:
            PluginRefusedError: the plugin refuses a step.
        """
        tactics = layer.plugin.spec.tactics  # TensorRT counts them from 1; 0 leaves the choice
        tactic = 1 + tactics.index(layer.plugin.tactic) if tactics else 0
        handle = self.checked(self.call("attach", layer.handle, c_int32(tactic)))
        try:
            yield Context(self, layer, handle)
        finally:
            self.call("detach", handle)


class Context:
    """An execution context, with the interface that pluginkit.checking's Execution needs.

    Attributes:
        layer: the layer.
        handle: the context's handle in the C++.
    """

    def __init__(self, tensorrt: TensorRT, layer: Layer, handle: int) -> None:
        self._tensorrt = tensorrt
        self.layer = layer
        self.handle = handle
        self._announced: Any = None
        self.descs: tuple[Any, Any] = (None, None)

    def aliased(self) -> dict[int, int]:
        """Return for each output that aliases an input the number of that input."""
        return {o: i for o, i in enumerate(self.layer.aliased_inputs) if i >= 0}

    def announce(self, shapes: Sequence[Shape], values: Mapping[str, Shape]) -> None:
        """Announce the shapes of the next enqueues.

        Raises:
            PluginRefusedError: the plugin refuses them.
        """
        self.descs = self.layer.profile.descs(self.layer.plugin, shapes, values)
        status = self._tensorrt.call("announce", self.handle, *self.descs)
        self._tensorrt.checked(status == 0)
        self._announced = list(shapes), values

    def enqueue_pointers(
        self,
        shapes: Sequence[Shape],
        inputs: Sequence[int],
        outputs: Sequence[int],
        workspace: int,
        stream: int,
        values: Mapping[str, Shape],
    ) -> None:
        """Enqueue on a stream; new shapes are announced first.

        Raises:
            PluginRefusedError: the plugin fails.
        """
        if self._announced != (list(shapes), values):
            self.announce(shapes, values)
        arrays = [(c_void_p * len(each))(*each) for each in (inputs, outputs)]
        status = self._tensorrt.call(
            "enqueue", self.handle, *self.descs, *arrays, workspace, stream
        )
        self._tensorrt.checked(status == 0)
