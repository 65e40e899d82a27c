"""Imports point one way, and what needs no TensorRT and no GPU imports neither."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pluginkit
import pluginkit.onnx

ROOT = Path(__file__).parents[2]

#: Each part may import those before it, at the top of a file or inside a function. CONTRIBUTING.md
#: and the package's docstring show the same order.
ORDER = [
    "distribution",
    "errors",
    "quantities",
    "atomic_files",
    "interrupts",
    "current_work",
    "ptx",
    "contract",
    "discovery",
    "tracing",
    "kernels",
    "device",
    "trt",
    "onnx",
    "isolation",
    "export",
    "engine",
    "view",
    "checking",
    "testing",
    "bench",
    "scaffold",
    "cli",
]
#: All that plugins, rewrites and examples may import.
PUBLIC = {"pluginkit", "pluginkit.onnx", "pluginkit.testing"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's syntax tree."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def imported_modules(path: Path) -> Iterator[str]:
    """Every pluginkit module that a file imports; ``from pluginkit import x`` is x's module."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "pluginkit")
        if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "pluginkit":
            continue
        module = str(node.module)
        for alias in node.names:
            if module == "pluginkit" and alias.name in pluginkit._HOME_OF:
                yield pluginkit._HOME_OF[alias.name]
            elif (ROOT / module.replace(".", "/") / f"{alias.name}.py").is_file() or (
                ROOT / module.replace(".", "/") / alias.name / "__init__.py"
            ).is_file():
                yield f"{module}.{alias.name}"
            else:
                yield module


def imports() -> dict[str, set[str]]:
    paths = [path for path in (ROOT / "pluginkit").rglob("*.py") if path.parent.name != "assets"]
    return {
        module_name(path): set(imported_modules(path)) - {"pluginkit"}
        for path in paths
        # The facade loads everything when it is used; the other is the command.
        if module_name(path) not in ("pluginkit", "pluginkit.__main__")
    }


def part(module: str) -> str:
    return module.split(".")[1]


def test_every_folder_is_a_package() -> None:
    """setuptools leaves a folder without ``__init__.py`` out of the wheel."""
    modules = [*ROOT.glob("pluginkit/**/*.py"), *ROOT.glob("plugins/**/*.py")]
    folders = {path.parent for path in modules}
    assert len(folders) > 20
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_every_module_has_its_place_in_the_order() -> None:
    parts = {part(module) for module in imports()}
    assert len(parts) >= 16
    assert parts == set(ORDER)


def test_imports_point_one_way() -> None:
    backwards = {
        (source, target)
        for source, targets in imports().items()
        for target in targets
        if part(target) not in {"plugins", "graph_rewrites"}
        and ORDER.index(part(target)) > ORDER.index(part(source))
    }
    assert backwards == set()


def test_no_files_import_each_other_in_a_circle() -> None:
    waiting = imports()
    assert len(waiting) > 150
    while waiting:
        free = {
            module
            for module, targets in waiting.items()
            if not {target for target in targets if target in waiting and target != module}
        }
        assert free, f"a circle among {sorted(waiting)}"
        waiting = {module: targets for module, targets in waiting.items() if module not in free}


def test_what_ships_uses_the_public_surface_only() -> None:
    found: set[tuple[str, str]] = set()
    files = [*ROOT.glob("plugins/**/*.py"), *ROOT.glob("graph_rewrites/*.py")]
    assert len(files) > 60
    for path in files:
        for node in nodes_of(path):
            module = str(node.module) if isinstance(node, ast.ImportFrom) else ""
            ours = module.startswith(("pluginkit.plugins", "pluginkit.graph_rewrites"))
            if module.split(".")[0] == "pluginkit" and not ours and module not in PUBLIC:
                found.add((module_name(path), module))
    assert found == set()


def test_every_public_name_can_be_imported() -> None:
    for facade in (pluginkit, pluginkit.onnx):
        assert len(facade.__all__) > 10
        for name in facade.__all__:
            assert getattr(facade, name) is not None


def test_no_module_name_is_used_twice() -> None:
    paths = [*ROOT.glob("pluginkit/**/*.py"), *ROOT.glob("graph_rewrites/*.py")]
    names = [path.stem for path in paths if not path.stem.startswith("__")]
    commands = {path.stem for path in ROOT.glob("pluginkit/cli/commands/*.py")}
    assert len(names) > 200
    assert {name for name in names if names.count(name) > 1} <= commands


def class_definitions() -> Iterator[tuple[str, str]]:
    """Yield the name of every class and type alias, and what the name means.

    Two modules may define the same alias, such as ``Array``: its definition is its meaning.
    """
    paths = [
        *ROOT.glob("pluginkit/**/*.py"),
        *ROOT.glob("plugins/**/*.py"),
        *ROOT.glob("graph_rewrites/*.py"),
    ]
    for path in paths:
        for node in nodes_of(path):
            if isinstance(node, ast.ClassDef):
                yield node.name, f"a class in {module_name(path)}"
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if isinstance(node, ast.AnnAssign):
                target = node.target
            if isinstance(target, ast.Name) and is_camel_case(target.id):
                assert isinstance(node, (ast.Assign, ast.AnnAssign))
                if node.value is not None:
                    yield target.id, ast.unparse(node.value)


def is_camel_case(name: str) -> bool:
    bare = name.lstrip("_")
    return bare[:1].isupper() and bare != bare.upper()


def test_no_class_name_means_two_things() -> None:
    meanings: dict[str, set[str]] = {}
    for name, meaning in class_definitions():
        meanings.setdefault(name, set()).add(meaning)
    assert len(meanings) > 500
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}


#: The most lines of a module.
LONGEST = 300


def test_no_module_is_long() -> None:
    lines = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for path in ROOT.glob("pluginkit/**/*.py")
    }
    assert len(lines) > 300
    assert {name for name, count in lines.items() if count > LONGEST} == set()


HEAVY = [
    "tensorrt",
    "tensorrt_rtx",
    "cupy",
    "numba",
    "onnx",
    "onnxruntime",
    "polygraphy",
    "numpy",
    "rich",
]
CHILD = "import sys, {module}; print([name for name in {heavy} if name in sys.modules])"


def loaded_by(module: str, heavy: list[str]) -> str:
    code = CHILD.format(module=module, heavy=heavy)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    ).stdout.strip()


def test_importing_pluginkit_loads_nothing_heavy() -> None:
    assert loaded_by("pluginkit", HEAVY) == "[]"
    assert loaded_by("pluginkit.onnx", HEAVY) == "[]"
    assert loaded_by("pluginkit.cli.main", HEAVY) == "[]"


def test_plugins_need_neither_tensorrt_nor_a_gpu() -> None:
    without_numpy = [name for name in HEAVY if name != "numpy"]
    for module in ("pluginkit.plugins.scatter_elements", "pluginkit.plugins.circ_pad"):
        assert loaded_by(module, without_numpy) == "[]"
    assert loaded_by("pluginkit.contract.plugin, pluginkit.contract.calls", HEAVY) == "[]"
