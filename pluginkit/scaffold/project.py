"""Decide where the files of a new plugin go, and write all of them or none."""

from __future__ import annotations

import json
import keyword
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pluginkit.errors import UsageError
from pluginkit.scaffold.fill_template import fill_template, formatted
from pluginkit.scaffold.names import kernel_file, module_of
from pluginkit.scaffold.onnx_node import NodeOperator, operator_of_node
from pluginkit.scaffold.onnx_schema import operator_of
from pluginkit.scaffold.operator_module import Skeleton
from pluginkit.scaffold.rewrite_module import rewrite_text


@dataclass(frozen=True)
class ProjectFolders:
    """The folders of a project's plugins, rewrites and tests."""

    plugins: Path
    rewrites: Path
    tests: Path


@dataclass(frozen=True)
class Scaffold:
    """The files to write.

    Attributes:
        files: the text of each file.
        test: the file of the test.
        has_rewrite: whether there is a rewrite among them.
        has_fixed_sizes: whether the plugin's shapes have numbers that come from a model.
        tasks: what the author must write before the plugin works, ``method: what to write``.
    """

    files: Mapping[Path, str]
    test: Path
    has_rewrite: bool = False
    has_fixed_sizes: bool = False
    tasks: tuple[str, ...] = ()


def scaffold(
    name: str,
    kernel: str,
    folders: ProjectFolders,
    onnx_op: str | None = None,
    *,
    node: tuple[Path, str] | None = None,
    is_data_dependent: bool = False,
) -> Scaffold:
    """Return the files of a new plugin.

    Args:
        name: its class.
        kernel: ``"cuda"`` or ``"numba"``.
        folders: the folders of the files.
        onnx_op: the operator to implement, ``Elu`` or ``com.example::Swish``; None for an
            example.
        node: a model, and the node in it to implement.
        is_data_dependent: whether an output's shape depends on data.

    Errors:
        PK642: a file is there already, or a rewrite could not import the plugin.
        PK643: there is no such operator, it has what no plugin can have, or the shapes of its
            outputs do not depend on data.
    """
    module = module_of(name)
    home = folders.plugins / module
    test = folders.tests / f"test_{module}.py"
    paths = (home / "__init__.py", home / kernel_file(module, kernel), test)
    words = {
        "name": name,
        "module": module,
        "folder": _path_expression(folders.tests, folders.plugins),
    }
    if onnx_op is not None:
        source: NodeOperator | None = NodeOperator(operator_of(onnx_op))
    else:
        source = None if node is None else operator_of_node(*node)
    if source is None:
        example = "select" if is_data_dependent else "scale"
        kernel_template = f"{example}.cu" if kernel == "cuda" else f"{example}_kernel.py"
        templates = (f"{example}_{kernel}.py", kernel_template, f"{example}_test.py")
        texts = [fill_template(template, **words) for template in templates]
        made = Scaffold(dict(zip(paths, texts, strict=True)), test)
    else:
        package = _package(folders.plugins)
        operator = source.operator
        if is_data_dependent and not operator.has_open_shapes:
            raise UsageError(
                "PK643",
                f"the outputs of {onnx_op or operator} have the shapes of inputs, and depend on no "
                "data.",
                fix="leave out --data-dependent.",
            )
        skeleton = Skeleton(name, module, kernel, operator, is_data_dependent, source.case)
        texts = [
            skeleton.module_text(),
            skeleton.kernel_text(),
            fill_template("operator_test.py", **words),
        ]
        rewrite = rewrite_text(name, f"{package}.{module}", operator)
        made = Scaffold(
            dict(zip(paths, texts, strict=True)) | {folders.rewrites / f"{module}.py": rewrite},
            test,
            has_rewrite=True,
            has_fixed_sizes=any(
                isinstance(item, int) for port in operator.ports for item in port.shape or ()
            ),
            tasks=tuple(skeleton.tasks),
        )
    for path in (home, home.with_suffix(".py"), *made.files):
        if path.exists():
            raise _is_there(path)
    return replace(made, files={path: formatted(path, text) for path, text in made.files.items()})


def _package(folder: Path) -> str:
    """Return the package name with which rewrites import from a folder of plugins."""
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


def _path_expression(tests: Path, plugins: Path) -> str:
    """Return the expression with which a test names the folder of plugins."""
    steps = Path(os.path.relpath(plugins.resolve(), tests.resolve())).parts
    ups = sum(part == ".." for part in steps)
    start = f"Path(__file__).parents[{ups}]" if ups else "Path(__file__).parent"
    return start + "".join(f" / {json.dumps(part)}" for part in steps[ups:])


def write_new_files(files: Mapping[Path, str]) -> None:
    """Write new files and their folders: all of them, or none.

    Errors:
        PK642: a file exists already, or cannot be written; then no file is written.
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
