"""Find the installed TensorRT packages, import one, and say what it can do."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pluginkit.contract.dtypes import DType, dtype_from_trt
from pluginkit.distribution import pip_install
from pluginkit.errors import MissingDependencyError, UsageError
from pluginkit.trt.rtx_library import load_alias

ENVIRONMENT_VARIABLE = "PLUGINKIT_TENSORRT"

#: The flavours in order of preference, with the modules that each may be imported as.
_MODULES = {
    "tensorrt": ("tensorrt",),
    "tensorrt_rtx": ("tensorrt_rtx",),
    "tensorrt_lean": ("tensorrt_lean", "tensorrt_lean_bindings"),
}
FLAVOURS = tuple(_MODULES)


@dataclass(frozen=True, eq=False)
class Flavour:
    """One TensorRT package, imported.

    Attributes:
        name: ``"tensorrt"``, ``"tensorrt_rtx"`` or ``"tensorrt_lean"``.
        module: the imported Python module.
        version: the module's version, ``"10.16.1.11"``.
    """

    name: str
    module: Any
    version: str
    _dtypes: dict[Any, DType] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def version_info(self) -> tuple[int, ...]:
        """The version's leading numbers."""
        return numbers(self.version)

    @property
    def has_parser(self) -> bool:
        """Whether it reads ONNX models."""
        return hasattr(self.module, "OnnxParser")

    @property
    def has_builder(self) -> bool:
        """Whether it builds engines."""
        return hasattr(self.module, "Builder")

    @property
    def needs_gpu_to_build(self) -> bool:
        """Whether building an engine needs a GPU."""
        return not hasattr(self.module, "ComputeCapability")

    @property
    def parser_takes_v2(self) -> bool:
        """Whether the ONNX parser finds IPluginV2DynamicExt plugins, not only IPluginV3."""
        return self.name != "tensorrt_rtx"

    @property
    def is_always_strongly_typed(self) -> bool:
        """Whether plugins always see the network's types; TensorRT may else pass FLOAT."""
        return self.name == "tensorrt_rtx" or self.version_info >= (11,)

    def dtype(self, data_type: Any) -> DType:
        """Return the DType of a ``DataType`` member.

        Errors:
            PK120: plugins do not take the type.
        """
        number = getattr(data_type, "value", data_type)  # members are slow to compare
        found = self._dtypes.get(number)
        if found is None:
            found = dtype_from_trt(getattr(data_type, "name", str(data_type)))
            self._dtypes[number] = found
        return found

    def data_type(self, dtype: DType) -> Any:
        """Return the ``DataType`` member of a DType."""
        return getattr(self.module.DataType, dtype.trt)


def available_flavours() -> dict[str, str | None]:
    """Return every installed flavour with its version, if known; imports nothing."""
    return {name: installed_version(name) for name in installed_flavours()}


def installed_flavours() -> list[str]:
    """Return the names of the installed flavours; imports nothing."""
    return [name for name in _MODULES if _module_of(name) is not None]


def installed_version(name: str) -> str | None:
    """Return the version of an installed flavour, if known; imports nothing."""
    module = _module_of(name)
    return None if module is None else _installed_version(module)


def _module_of(name: str) -> str | None:
    return next((module for module in _MODULES[name] if importlib.util.find_spec(module)), None)


def load_flavour(name: str | None = None) -> Flavour:
    """Import a TensorRT.

    Args:
        name: which one; by default the environment variable PLUGINKIT_TENSORRT, or else the first
            of ``tensorrt``, ``tensorrt_rtx`` and ``tensorrt_lean`` that is installed.

    Errors:
        PK200: no TensorRT, or not the requested one.  PK201: TensorRT-RTX's parser cannot find its
            library.
        PK203: the version is known not to work.  PK600: there is no flavour ``name``.
    """
    wanted = name or os.environ.get(ENVIRONMENT_VARIABLE) or None
    if wanted is not None and wanted not in _MODULES:
        raise UsageError(
            "PK600",
            f"TensorRT flavour '{wanted}' does not exist; expected one of {', '.join(FLAVOURS)}.",
        )
    installed = installed_flavours()
    for candidate in (wanted,) if wanted else FLAVOURS:
        if candidate in installed:
            return _import_flavour(candidate)
    raise MissingDependencyError(
        "PK200",
        f"{wanted or 'TensorRT'} is not installed; found {', '.join(installed) or 'no TensorRT'}.",
        fix=f"pip install tensorrt-rtx, or {pip_install('tensorrt')} for the full TensorRT.",
    )


@functools.cache
def _import_flavour(name: str) -> Flavour:
    module = next(module for module in _MODULES[name] if importlib.util.find_spec(module))
    try:
        imported = importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingDependencyError(
            "PK200",
            f"{name} is installed but cannot be imported.",
            cause=str(error),
            fix="reinstall it.",
        ) from error
    flavour = Flavour(name, imported, imported.__version__)
    _refuse_known_broken(flavour)
    if name == "tensorrt_rtx" and not _ships_unversioned_library():
        load_alias("libtensorrt_rtx.so", "libtensorrt_rtx.so.1")
    return flavour


def _refuse_known_broken(flavour: Flavour) -> None:
    if flavour.name == "tensorrt_rtx" or flavour.version_info[:2] >= (10, 14):
        return
    problem = "with numpy 2, PluginField.data repeats element 0 up to 10.13"
    if flavour.version_info[:2] < (10, 5):
        problem = (
            "IPluginV3 plugins crash at exit and creators die with the registry wrapper before 10.5"
        )
    raise MissingDependencyError(
        "PK203",
        f"{flavour.name} {flavour.version} does not work with pluginkit: {problem}.",
        fix="install TensorRT 10.16 or newer.",
    )


def _ships_unversioned_library() -> bool:
    spec = importlib.util.find_spec("tensorrt_rtx_libs")
    folders = (spec.submodule_search_locations if spec else None) or ()
    return any((Path(folder) / "libtensorrt_rtx.so").exists() for folder in folders)


@functools.cache
def _installed_version(module: str) -> str | None:
    for distribution in _distributions(module):
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(distribution)
    return None


def _distributions(module: str) -> Iterator[str]:
    """Yield names of packages that may hold a module; to look into all takes half a second."""
    yield module
    yield from (f"{module.removesuffix('_bindings')}_cu{major}_bindings" for major in (13, 12))
    yield from importlib.metadata.packages_distributions().get(module, ())


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: (10, 16) for ``"10.16.rc1"``."""
    found = []
    for part in version.split("."):
        if not part.isdigit():
            break
        found.append(int(part))
    return tuple(found)
