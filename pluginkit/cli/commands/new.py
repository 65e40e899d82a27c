"""Begin a plugin: write its module, its kernel and its test, all of them or none.

Without --onnx-op this is a small example that works, for you to change: y = factor * x, or with
--data-dependent y = x[x > limit], whose length only its kernels know. With --onnx-op, the plugin
declares what the operator's schema says, a rewrite replaces the operator by it, and the methods
that you must write raise NotImplementedError. With --from, an operator of your own is declared as
the model's nodes have it: inputs, outputs, types, attributes, shapes, and a case like the node.

Files go into the first folders that [tool.pluginkit] in pyproject.toml names, else into plugins,
graph_rewrites and tests. Where there is no pyproject.toml, one is written that names them.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.cli import options
from pluginkit.errors import UsageError

if TYPE_CHECKING:
    from pluginkit.scaffold import ProjectFolders, Scaffold

_PROJECT = Path("pyproject.toml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("name", help="the plugin's class, such as CircPad")
    parser.add_argument(
        "--kernel", choices=("cuda", "numba"), default="cuda", help="the language of the kernel"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--onnx-op",
        metavar="OP",
        help="the operator that it implements: one of ONNX, or DOMAIN::OP",
    )
    source.add_argument(
        "--from",
        dest="node",
        metavar="MODEL:NODE",
        help="the node that it is for, by its name, output, number or op_type",
    )
    parser.add_argument(
        "--data-dependent",
        action="store_true",
        help="an output's shape depends on data: kernels write the size; needs IPluginV3",
    )
    for kind in ("plugins", "rewrites", "tests"):
        parser.add_argument(
            f"--{kind}",
            type=Path,
            metavar="FOLDER",
            help=f"the folder for {kind}; created if missing",
        )
    parser.add_argument("--dry-run", action="store_true", help="say what would be written")
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Write the files, and say what to do next."""
    from pluginkit.cli.terminal_output import print_json, print_line
    from pluginkit.scaffold import check_name, scaffold, write_new_files

    check_name(args.name)
    folders, named = _folders(args)
    _refuse_twin(args.name, folders.plugins)
    node = None if args.node is None else _node(args.node)
    made = scaffold(
        args.name,
        args.kernel,
        folders,
        args.onnx_op,
        node=node,
        is_data_dependent=args.data_dependent,
    )
    files = dict(made.files)
    if not _PROJECT.exists():
        named = _kinds(made)
        files[_PROJECT] = _project_text(folders, named)
    steps = _next_steps(args.name, made, folders, named, node)
    if not args.dry_run:
        write_new_files(files)
    if args.json:
        print_json(
            {
                "plugin": args.name,
                "dry_run": args.dry_run,
                "files": list(map(str, files)),
                "tasks": made.tasks,
                "next": steps,
            }
        )
        return 0
    for path in files:
        print_line(f"{'would write' if args.dry_run else 'wrote'} {path}")
    if made.tasks:
        print_line("Left to write, each of which raises NotImplementedError until then:")
    for task in made.tasks:
        print_line(f"  {task}")
    if made.has_fixed_sizes:
        print_line("Sizes in its shapes are those of the model; write a name for one that varies.")
    print_line("Next:")
    for step in steps:
        print_line(f"  {step}")
    return 0


def _folders(args: argparse.Namespace) -> tuple[ProjectFolders, list[str]]:
    """Return where the files go, and which kinds of folders pyproject.toml names."""
    from pluginkit.discovery import configured_folders
    from pluginkit.scaffold import ProjectFolders

    found, named = {}, []
    for kind, usual in (("plugins", "plugins"), ("rewrites", "graph_rewrites")):
        configured = [_near(folder) for folder in configured_folders(kind)]
        found[kind] = getattr(args, kind) or next(iter(configured), Path(usual))
        if found[kind] in configured:
            named.append(kind)
    return ProjectFolders(found["plugins"], found["rewrites"], args.tests or Path("tests")), named


def _node(text: str) -> tuple[Path, str]:
    """Return the model and the node in MODEL:NODE; both may have colons."""
    at = [index for index, letter in enumerate(text) if letter == ":"]
    splits = [(Path(text[:index]), text[index + 1 :]) for index in at]
    found = next((split for split in splits if split[0].is_file()), None)
    if found is None and not splits:
        raise UsageError(
            "PK644",
            f"--from is '{text}'; expected MODEL:NODE.",
            fix="name a node after the model, as in --from model.onnx:Swish_3.",
        )
    return found or splits[0]


def _near(folder: Path) -> Path:
    """Return a folder's path relative to the current one, if it is inside."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _refuse_twin(name: str, folder: Path) -> None:
    from pluginkit.discovery import configured_folders, find_plugins

    if not all(one.is_dir() for one in configured_folders("plugins")):
        return  # discovery would complain of the folder that is about to be made
    for cls in find_plugins([folder] if folder.is_dir() else [], broken=[]).values():
        if name in (cls.__name__, cls.spec.plugin_name.removesuffix("_PK")):
            raise UsageError(
                "PK641",
                f"there is a plugin {cls.__name__} already, {cls.spec.plugin_name}.",
                where=cls.__module__,
                fix=f"choose another name, or derive from it: class My{name}({cls.__name__}).",
            )


def _kinds(made: Scaffold) -> list[str]:
    """Return the kinds of folders that get files and that other commands search."""
    return ["plugins", "rewrites"] if made.has_rewrite else ["plugins"]


def _project_text(folders: ProjectFolders, kinds: Sequence[str]) -> str:
    lines = [f"{kind} = [{json.dumps(getattr(folders, kind).as_posix())}]\n" for kind in kinds]
    return "[tool.pluginkit]\n" + "".join(lines)


def _next_steps(
    name: str,
    made: Scaffold,
    folders: ProjectFolders,
    named: Sequence[str],
    node: tuple[Path, str] | None,
) -> list[str]:
    def options_for(*kinds: str) -> str:
        missing = [kind for kind in kinds if kind not in named]
        return "".join(f" --{kind} {getattr(folders, kind)}" for kind in missing)

    steps = [f"pluginkit check {name}{options_for('plugins')}", f"pytest {made.test}"]
    kinds = _kinds(made)
    if made.has_rewrite:
        model = "model.onnx" if node is None else shlex.quote(str(node[0]))
        steps.append(f"pluginkit rewrite {model}{options_for('plugins', 'rewrites')}")
    if missing := [kind for kind in kinds if kind not in named]:
        text = " and ".join(_project_text(folders, missing).splitlines()[1:])
        steps.append(f"let pyproject.toml name them, under [tool.pluginkit]: {text}")
    return steps
