"""Locate a plugin class by name and file, so that another process can import it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pluginkit.contract.plugin import Plugin
from pluginkit.contract.scratch import VARIANT, scratch_variant
from pluginkit.errors import UsageError


@dataclass(frozen=True)
class ClassLocation:
    """How to import a class.

    Attributes:
        module, qualname: the class's names.
        file: the module's file.
        path: the ``sys.path`` of the process that imported it.
    """

    module: str
    qualname: str
    file: str
    path: tuple[str, ...]

    def load(self) -> type[Plugin]:
        """Import the class."""
        # At the end: the interpreter's own folders must keep their order.
        sys.path += [folder for folder in self.path if folder not in sys.path]
        found: Any = self._module()
        for name in self.qualname.split("."):
            base: Any = getattr(found, name.removesuffix(VARIANT), None)
            is_variant = not hasattr(found, name) and base is not None
            found = scratch_variant(base) if is_variant else getattr(found, name)
        plugin_class: type[Plugin] = found
        return plugin_class

    def _module(self) -> ModuleType:
        loaded = sys.modules.get(self.module)
        if loaded is not None and _is_same_file(loaded, self.file):
            return loaded
        if self.module != "__main__" and importlib.util.find_spec(self.module.partition(".")[0]):
            try:
                module = importlib.import_module(self.module)
            except ModuleNotFoundError as error:
                if not self.module.startswith(error.name or "-"):
                    raise
            else:
                if _is_same_file(module, self.file):
                    return module
        return self._module_from_file()

    def _module_from_file(self) -> ModuleType:
        """Import the module from its file, as tests and named folders need."""
        is_package = Path(self.file).name == "__init__.py"
        folder = Path(self.file).parent
        parents = self.module.split(".")[:-1]
        for depth in range(len(parents), 0, -1):
            folder = folder.parent if is_package or depth < len(parents) else folder
            name = ".".join(parents[:depth])
            if name not in sys.modules:
                package = ModuleType(name)
                package.__path__ = [str(folder)]
                sys.modules[name] = package
        name = self.module if self.module != "__main__" else f"main_{Path(self.file).stem}"
        search = [str(Path(self.file).parent)] if is_package else None
        spec = importlib.util.spec_from_file_location(
            name, self.file, submodule_search_locations=search
        )
        if spec is None or spec.loader is None:
            raise UsageError("PK222", f"{self.file} is no Python file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module


def location_of(plugin_class: type[Plugin]) -> ClassLocation:
    """Return the location of a class.

    Errors:
        PK222: the class is defined inside a function or without a file, so that no other process
            can import it.
    """
    module = sys.modules.get(plugin_class.__module__)
    file = getattr(module, "__file__", None)
    if "<locals>" in plugin_class.__qualname__ or not file:
        raise UsageError(
            "PK222",
            f"{plugin_class.__qualname__} cannot be imported by another process.",
            fix="define the class at the top of a module in a file.",
        )
    path = tuple(os.path.realpath(folder or os.getcwd()) for folder in sys.path)  # noqa: PTH109
    return ClassLocation(plugin_class.__module__, plugin_class.__qualname__, str(file), path)


def _is_same_file(module: ModuleType, file: str) -> bool:
    found = getattr(module, "__file__", None)
    return found is not None and os.path.realpath(found) == os.path.realpath(file)
