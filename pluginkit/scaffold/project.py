"""Where the files go, and writing all of them or none."""

from __future__ import annotations

import json
import keyword
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from pluginkit.errors import UsageError
from pluginkit.scaffold.example_plugin import kernel_file
from pluginkit.scaffold.names import module_of
from pluginkit.scaffold.onnx_schema import operator_of
from pluginkit.scaffold.operator_module import Skeleton
from pluginkit.scaffold.rewrite_module import rewrite_text
from pluginkit.scaffold.scale_example import SCALE
from pluginkit.scaffold.select_example import SELECT

_TEST = Template('''"""$name, in every check that this machine can run; the others are skipped."""

from pathlib import Path

${numpy}from pluginkit import find_plugins
from pluginkit.testing import $used

PLUGINS = find_plugins([$folder])
$name = PLUGINS["${name}_PK", "1", "pluginkit"]


class Test$name(PluginChecks):
    """Every check that pluginkit has."""

    plugin = $name
''')


@dataclass(frozen=True)
class Folders:
    """Where a project has its plugins, rewrites and tests."""

    plugins: Path
    rewrites: Path
    tests: Path


@dataclass(frozen=True)
class Scaffold:
    """What is to be written.

    Attributes:
        files: the text of each file.
        test: the one that holds the test.
        has_rewrite: whether one holds a rewrite.
        tasks: what is left to the author before the plugin works, ``method: what to write``.
    """

    files: Mapping[Path, str]
    test: Path
    has_rewrite: bool = False
    tasks: tuple[str, ...] = ()


def scaffold(
    name: str,
    kernel: str,
    folders: Folders,
    onnx_op: str | None = None,
    *,
    is_data_dependent: bool = False,
) -> Scaffold:
    """The files of a new plugin.

    Args:
        name: its class.
        kernel: ``"cuda"`` or ``"numba"``.
        folders: where they go.
        onnx_op: the operator that it is for, ``Elu`` or ``com.example::Swish``; None for an
            example.
        is_data_dependent: whether an output's shape depends on data.

    Errors:
        PK642: a file is there already, or a rewrite could not import the plugin.
        PK643: there is no such operator, it has what no plugin can have, or the shapes of its
            outputs do not depend on data.
    """
    module = module_of(name)
    home = folders.plugins / module
    test = folders.tests / f"test_{module}.py"
    if onnx_op is None:
        example = SELECT if is_data_dependent else SCALE
        made = Scaffold(
            {
                home / "__init__.py": example.module_text(name, module, kernel),
                home / kernel_file(module, kernel): example.kernel_text(name, module, kernel),
                test: _test(name, folders, example.test_text(name)),
            },
            test,
        )
    else:
        package = _package(folders.plugins)
        operator = operator_of(onnx_op)
        if is_data_dependent and not operator.has_open_shapes:
            raise UsageError(
                "PK643",
                f"the outputs of {onnx_op} have the shapes of inputs, and depend on no data.",
                fix="leave out --data-dependent.",
            )
        skeleton = Skeleton(name, module, kernel, operator, is_data_dependent)
        rewrite = rewrite_text(name, f"{package}.{module}", operator)
        made = Scaffold(
            {
                home / "__init__.py": skeleton.module_text(),
                home / kernel_file(module, kernel): skeleton.kernel_text(),
                test: _test(name, folders, ""),
                folders.rewrites / f"{module}.py": rewrite,
            },
            test,
            has_rewrite=True,
            tasks=tuple(skeleton.tasks),
        )
    for path in (home, home.with_suffix(".py"), *made.files):
        if path.exists():
            raise _is_there(path)
    return made


def _package(folder: Path) -> str:
    """The name by which rewrites import from a folder of plugins."""
    name = folder.resolve().name
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(
            "PK642",
            f"a rewrite cannot import from the folder '{name}'; expected a name of Python's.",
            fix="name another folder with --plugins.",
        )
    return name


def _is_there(path: Path) -> UsageError:
    return UsageError(
        "PK642",
        f"'{path}' is there already; nothing was written.",
        fix="choose another name, or remove it first.",
    )


def _test(name: str, folders: Folders, more: str) -> str:
    way = Path(os.path.relpath(folders.plugins.resolve(), folders.tests.resolve())).parts
    ups = sum(part == ".." for part in way)
    start = f"Path(__file__).parents[{ups}]" if ups else "Path(__file__).parent"
    numpy, used = (
        ("import numpy as np\n", "PluginChecks, run_reference") if more else ("", "PluginChecks")
    )
    down = "".join(f" / {json.dumps(part)}" for part in way[ups:])
    folder = start + down
    return _TEST.substitute(name=name, folder=folder, numpy=numpy, used=used) + more


def write_new_files(files: Mapping[Path, str]) -> None:
    """Write files that are not there yet, with the folders that they need: all of them, or none.

    Errors:
        PK642: one is there already, or cannot be written; nothing is left behind.
    """
    made: list[Path] = []
    try:
        for path, text in files.items():
            missing = [folder for folder in path.parents if not folder.exists()]
            for folder in reversed(missing):
                folder.mkdir()
                made.append(folder)
            with path.open("x", encoding="utf-8") as file:
                made.append(path)
                file.write(text)
    except BaseException as error:
        for one in reversed(made):
            one.rmdir() if one.is_dir() else one.unlink()
        if isinstance(error, FileExistsError):
            raise _is_there(path) from error
        if isinstance(error, (OSError, ValueError)):
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(
                "PK642", f"'{path}' cannot be written: {reason}; nothing was written."
            ) from error
        raise
