"""Find plugins and rewrites in folders and packages.

Classes come, in this order, from folders that the caller names, from ``[tool.pluginkit]`` in the
pyproject.toml of the current directory, from the entry points ``pluginkit.plugins`` and
``pluginkit.rewrites``, and from pluginkit itself. Each ``name.py`` and each ``name/__init__.py`` in
a folder is imported unless its name begins with an underscore. No code of a folder that was not
named is ever executed.
"""

from __future__ import annotations

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
from pluginkit.contract.plugin_names import nearest
from pluginkit.contract.spec import PluginKey
from pluginkit.errors import DeclarationError, PluginkitError, UsageError

_Base = TypeVar("_Base")

Folders = Iterable[str | Path]
#: The keys that ``[tool.pluginkit]`` may have.
_KINDS = ("plugins", "rewrites")


def find_plugins(
    folders: Folders = (), broken: list[PluginkitError] | None = None
) -> dict[PluginKey, type[Plugin]]:
    """Return every plugin class, by its key in the plugin registry: name, version, namespace.

    Args:
        folders: further folders to look into.
        broken: gets the error of each module that cannot be imported, which is then left out.

    Errors:
        PK430, PK1xx: a module cannot be imported, unless ``broken`` is given.  PK431: two plugins
        have one key.
        PK432: a folder does not exist, or the pyproject.toml cannot be read.
    """
    found: dict[PluginKey, type[Plugin]] = {}
    for cls in found_classes("plugins", folders, Plugin, "spec", broken):
        refuse_twin("plugins", str(cls.spec.key), found.setdefault(cls.spec.key, cls), cls)
    return found


def found_classes(
    kind: Literal["plugins", "rewrites"],
    folders: Folders,
    base: type[_Base],
    mark: str,
    broken: list[PluginkitError] | None = None,
) -> Iterator[type[_Base]]:
    """Yield every concrete subclass of ``base`` in the modules of one kind.

    Args:
        kind: what to look for; the key in the pyproject.toml and in the entry points.
        folders: further folders to look into.
        base: Plugin or Rewrite.
        mark: the class member that every concrete subclass defines itself.
        broken: as for :func:`find_plugins`.

    Errors:
        PK430: a module cannot be imported.  PK432: a folder does not exist, or the pyproject.toml
        cannot be read.
    """
    for module in _modules(kind, folders, broken):
        yield from _classes(module, base, mark)


def _modules(
    kind: str, folders: Folders, broken: list[PluginkitError] | None
) -> Iterator[ModuleType]:
    for folder in [*map(Path, folders), *configured_folders(kind)]:
        yield from _walk(package_of(folder), broken)
    for entry in importlib.metadata.entry_points(group=f"pluginkit.{kind}"):
        where = f"entry point '{entry.name}' = '{entry.value}'"
        for module in _imported(entry.module, where, broken):
            yield module
            if hasattr(module, "__path__"):
                yield from _walk(module, broken)
    shipped = {"plugins": "pluginkit.plugins", "rewrites": "pluginkit.graph_rewrites"}[kind]
    yield from _walk(_import(shipped, shipped), None)


def _walk(package: ModuleType, broken: list[PluginkitError] | None) -> Iterator[ModuleType]:
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
        if not found.name.startswith("_"):
            finder: Any = found.module_finder
            where = str(Path(finder.path) / found.name)
            yield from _imported(f"{package.__name__}.{found.name}", where, broken)


def _imported(name: str, where: str, broken: list[PluginkitError] | None) -> Iterator[ModuleType]:
    """Yield the module; or nothing, if it cannot be imported and ``broken`` takes the error."""
    try:
        module = _import(name, where)
    except PluginkitError as error:
        if broken is None:
            raise
        broken.append(error)
    else:
        yield module


def _import(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except PluginkitError:
        raise  # a declaration error, which names its own file and line
    except (Exception, SystemExit) as error:
        raise DeclarationError(
            "PK430",
            f"module '{name}' cannot be imported: {type(error).__name__}: {error}.",
            where=_failed_line(error) or where,
            fix="correct the module, or install what it imports.",
        ) from error


def _failed_line(error: BaseException) -> str | None:
    """Return the line that failed: the deepest one outside the import machinery."""
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
    """Return the folders under ``[tool.pluginkit]``, relative to the pyproject.toml's own folder.

    Errors:
        PK432: the pyproject.toml cannot be read, or has a key that pluginkit does not know.
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
        near = nearest(key, _KINDS)
        raise UsageError(
            "PK432",
            f"tool.pluginkit.{key} means nothing; expected {' or '.join(_KINDS)}.",
            where=str(file),
            fix=f"did you mean '{near}'?" if near else "remove it.",
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


def module_at(path: Path) -> ModuleType:
    """Import a file as a module of its folder; one that was imported is executed again.

    Errors:
        PK430: it cannot be imported.
    """
    name = f"{package_of(path.parent).__name__}.{path.stem}"
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return _import(name, str(path))


def package_of(folder: Path) -> ModuleType:
    """Return a package of the folder's modules, named like the folder if that name is free.

    Errors:
        PK432: there is no such folder.
    """
    try:
        folder = folder.resolve()
        is_folder, got = folder.is_dir(), "is a file" if folder.exists() else "does not exist"
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a loop of links
        is_folder, got = False, "does not exist"
    if not is_folder:
        raise UsageError(
            "PK432",
            f"folder '{folder.name}' {got}; expected a folder of Python modules.",
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
    """Yield the concrete subclasses that a module, or a package's own modules, define."""
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, base) and mark in vars(value):
            home = value.__module__
            if home == module.__name__ or home.startswith(f"{module.__name__}."):
                yield value


def refuse_twin(kind: str, key: str, first: type, second: type) -> None:
    """Refuse two classes with one name or key, unless one class was imported twice.

    Errors:
        PK431: they are two classes.
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
