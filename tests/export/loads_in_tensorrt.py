"""Load and deregister plugin libraries in a real TensorRT.

    python -m tests.export.loads_in_tensorrt FLAVOUR STEP...

Each step is ``load:LIBRARY``, ``open:LIBRARY`` (plain dlopen), ``give:LIBRARY`` (deregister its
last load), ``make:LIBRARY`` (create a plugin, which stays alive) or ``drop:LIBRARY`` (call the last
plugin, and destroy it). Prints as JSON, for each step, whether it worked, which plugins of
cpp/programs.cpp the registry then has, which of the libraries are mapped, and whether the registry
has version 2 of Scale. A crash ends the process.
"""

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pluginkit.trt.flavour import Flavour, load_flavour
from tests.export.in_tensorrt import KEYS


class Loads:
    """A registry, and the libraries that were loaded into it."""

    def __init__(self, flavour: Flavour) -> None:
        self.trt = flavour.module
        self.registry = self.trt.get_plugin_registry()
        self.handles: dict[str, list[Any]] = {}
        self.plugins: list[Any] = []

    def load(self, library: str) -> bool:
        """Call loadLibrary."""
        handle = self.registry.load_library(library)
        if handle is not None:
            self.handles.setdefault(library, []).append(handle)
        return handle is not None

    def open(self, library: str) -> bool:
        """Call plain dlopen."""
        ctypes.CDLL(library)
        return True

    def give(self, library: str) -> bool:
        """Deregister the library."""
        self.registry.deregister_library(self.handles[library].pop())
        return True

    def make(self, _: str) -> bool:
        """Create a Scale, which lives until it is dropped."""
        creator = self.registry.get_creator(*KEYS[0])
        kind = self.trt.PluginFieldType.FLOAT32
        field = self.trt.PluginField("factor", np.array([2], np.float32), kind)
        given = ["node", self.trt.PluginFieldCollection([field])]
        if isinstance(creator, self.trt.IPluginCreatorV3One):
            given.append(self.trt.TensorRTPhase.RUNTIME)
        made = creator.create_plugin(*given)
        ctypes.pythonapi.Py_IncRef(
            ctypes.py_object(made)
        )  # not destroyed at the end of the process
        self.plugins.append(made)
        return made is not None

    def drop(self, _: str) -> bool:
        """Ask the last plugin for its name, and destroy it."""
        made = self.plugins.pop()
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(made))
        if not hasattr(made, "plugin_type"):
            core = made.get_capability_interface(self.trt.PluginCapabilityType.CORE)
            return bool(core.plugin_name == KEYS[0][0])
        return bool(made.plugin_type == KEYS[0][0])

    def interfaces(self) -> list[str | None]:
        """Return the interface of each plugin's creator, None without a creator."""
        found = (self.registry.get_creator(*key) for key in KEYS)
        return [None if each is None else type(each).__name__ for each in found]


def main(flavour: str, steps: list[str]) -> None:
    """Run the steps."""
    loads = Loads(load_flavour(flavour))
    split = [step.partition(":") for step in steps]
    libraries = sorted({library for _, _, library in split})
    for name, _, library in split:
        worked = getattr(loads, name)(library)
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
        mapped = [each for each in libraries if each in maps]
        has_2 = loads.registry.get_creator("Scale_PK", "2", "pluginkit") is not None
        sys.stdout.write(json.dumps([worked, loads.interfaces(), mapped, has_2]) + "\n")
        sys.stdout.flush()  # printed even if a later step crashes


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
