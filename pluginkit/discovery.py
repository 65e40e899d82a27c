"""Finds plugins and rewrites by walking folders; there is no list to edit.

They come, in this order, from folders that the caller names, from ``[tool.pluginkit]`` in the
pyproject.toml of the current directory, from the entry points ``pluginkit.plugins`` and
``pluginkit.rewrites``, and from pluginkit itself. Each ``name.py`` and each ``name/__init__.py`` in
a folder is imported, those that begin with an underscore are not; nothing is ever executed from a
folder that was not named.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import DeclarationError, PluginkitError, UsageError

_Base = TypeVar("_Base")

Folders = Iterable[str | Path]
#: What ``[tool.pluginkit]`` may name.
_KINDS = ("plugins", "rewrites")


def find_plugins(folders: Folders = ()) -> dict[tuple[str, str, str], type[Plugin]]:
    """Every plugin class, by its key in the plugin registry: name, version, namespace.

    Args:
        folders: further folders to look into.

    Errors:
        PK430: a module cannot be imported.  PK431: two plugins have one key.
        PK432: a folder does not exist, or the pyproject.toml cannot be read.
    """
    found: dict[tuple[str, str, str], type[Plugin]] = {}
    for cls in found_classes("plugins", folders, Plugin, "spec"):
        refuse_twin("plugins", str(cls.spec.key), found.setdefault(cls.spec.key, cls), cls)
    return found


def found_classes(
    kind: Literal["plugins", "rewrites"], folders: Folders, base: type[_Base], mark: str
) -> Iterator[type[_Base]]:
    """Every concrete subclass of ``base`` in the modules of one kind.

    Args:
        kind: what to look for: it names the key in the pyproject.toml and the entry points.
        folders: further folders to look into.
        base: Plugin or Rewrite.
        mark: the class member that a concrete subclass has of its own.

    Errors:
        PK430: a module cannot be imported.  PK432: a folder does not exist, or the pyproject.toml
        cannot be read.
    """
    for module in _modules(kind, folders):
        yield from _classes(module, base, mark)


def _modules(kind: str, folders: Folders) -> Iterator[ModuleType]:
    for folder in [*map(Path, folders), *configured_folders(kind)]:
        yield from _walk(package_of(folder))
    for entry in importlib.metadata.entry_points(group=f"pluginkit.{kind}"):
        module = _import(entry.module, f"entry point '{entry.name}' = '{entry.value}'")
        yield module
        if hasattr(module, "__path__"):
            yield from _walk(module)
    shipped = {"plugins": "pluginkit.plugins", "rewrites": "pluginkit.graph_rewrites"}[kind]
    yield from _walk(_import(shipped, shipped))


def _walk(package: ModuleType) -> Iterator[ModuleType]:
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
        if not found.name.startswith("_"):
            finder: Any = found.module_finder
            yield _import(f"{package.__name__}.{found.name}", str(Path(finder.path) / found.name))


def _import(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except PluginkitError:
        raise  # a declaration error, which names its own file and line
    except Exception as error:
        raise DeclarationError(
            "PK430",
            f"module '{name}' cannot be imported: {type(error).__name__}: {error}.",
            where=_culprit(error) or where,
            fix="correct the module, or install what it imports.",
        ) from error


def _culprit(error: Exception) -> str | None:
    """The line that failed: the deepest one outside the import machinery."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    line, trace = None, error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and file not in (__file__, importlib.__file__):
            line = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return line


def configured_folders(kind: str) -> list[Path]:
    """The folders under ``[tool.pluginkit]``, relative to the pyproject.toml that names them.

    Errors:
        PK432: the pyproject.toml cannot be read, or names what pluginkit does not know.
    """
    file = Path("pyproject.toml").absolute()
    if not file.is_file():
        return []
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            "PK432",
            f"'{file.name}' cannot be read: {error}.",
            where=str(file),
            fix="correct the file.",
        ) from error
    named: Any = table
    for key in ("tool", "pluginkit"):
        named = named.get(key, {}) if isinstance(named, dict) else {}
    named = named if isinstance(named, dict) else {}
    for key in sorted(named.keys() - _KINDS):
        near = difflib.get_close_matches(key, _KINDS, 1)
        raise UsageError(
            "PK432",
            f"tool.pluginkit.{key} means nothing; expected {' or '.join(_KINDS)}.",
            where=str(file),
            fix=f"did you mean '{near[0]}'?" if near else "remove it.",
        )
    named = named.get(kind) or []
    folders = [named] if isinstance(named, str) else named
    if not isinstance(folders, list) or not all(isinstance(folder, str) for folder in folders):
        raise UsageError(
            "PK432",
            f"tool.pluginkit.{kind} is {named!r}; expected a list of folders.",
            where=str(file),
            fix=f'write {kind} = ["{kind}"].',
        )
    return [file.parent / folder for folder in folders]


def package_of(folder: Path) -> ModuleType:
    """A package whose modules are the folder's, under the folder's own name where that is free."""
    try:
        folder = folder.resolve()
        is_folder = folder.is_dir()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a loop of links
        is_folder = False
    if not is_folder:
        raise UsageError(
            "PK432",
            f"folder '{folder.name}' does not exist; expected a folder of Python modules.",
            where=str(folder),
            fix="check the path.",
        )
    name = folder.name
    if not name.isidentifier() or not _is_free(name, folder):
        name = f"pluginkit_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return sys.modules[name]


def _is_free(name: str, folder: Path) -> bool:
    """Whether ``name`` means this folder, or nothing yet."""
    module = sys.modules.get(name)
    if module is not None:
        return [str(folder)] == list(getattr(module, "__path__", ()))
    spec = importlib.util.find_spec(name)
    if spec is None:
        return True
    is_plain_folder = spec.origin is None  # on sys.path, as the current one often is
    return is_plain_folder and [str(folder)] == list(spec.submodule_search_locations or ())


def _classes(module: ModuleType, base: type[_Base], mark: str) -> Iterator[type[_Base]]:
    """The concrete subclasses that a module, or a package's own modules, define."""
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, base) and mark in vars(value):
            home = value.__module__
            if home == module.__name__ or home.startswith(f"{module.__name__}."):
                yield value


def refuse_twin(kind: str, key: str, first: type, second: type) -> None:
    """Refuse two classes with one name or key.

    Errors:
        PK431: they are not one class that was imported twice.
    """
    if first is not second and _home(first) != _home(second):
        raise DeclarationError(
            "PK431",
            f"two {kind} are called {key}; expected one.",
            where=f"{_home(first)} and {_home(second)}",
            fix="rename one of them, or give it another version or namespace."
            if kind == "plugins"
            else "rename one of them.",
        )


def _home(cls: type) -> str:
    return f"{inspect.getsourcefile(cls)}, class {cls.__qualname__}"
