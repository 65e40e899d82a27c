"""Imports point one way, and what needs no TensorRT and no GPU imports neither."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "pluginkit"

#: A module may import those before it, at the top of the file or inside functions.
ORDER = [
    "errors",
    "files",
    "dims",
    "dtypes",
    "values",
    "annotations",
    "attributes",
    "tensors",
    "kernels.declare",
    "spec",
    "declaration",
    "plugin",
    "calls",
    "kernels",
    "trt",
    "onnx",
    "discovery",
    "engine",
    "view",
    "testing",
    "bench",
    "scaffold",
    "cli",
]
#: Imports against the order, with the reason.
EXCEPTIONS = {
    ("dtypes", "dims"),  # types alone
    ("kernels", "plugin"),  # kernels.declare is below, the rest of kernels above
    ("onnx", "discovery"),  # rewrite_model finds what is installed when it is given nothing
}


def layer(module: str) -> str:
    name = module.removeprefix("pluginkit").lstrip(".")
    if name == "kernels.declare":
        return name
    return name.partition(".")[0]


def imports() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        relative = path.relative_to(PACKAGE.parent).with_suffix("")
        name = ".".join(relative.parts).removesuffix(".__init__")
        if name == "pluginkit":
            continue
        targets = found.setdefault(layer(name), set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pluginkit."):
                targets.add(layer(str(node.module)))
    return found


def test_every_module_has_its_place_in_the_order() -> None:
    found = imports()
    assert len(found) >= 18
    assert set(found) == set(ORDER)


def test_imports_point_one_way() -> None:
    backwards = {
        (source, target)
        for source, targets in imports().items()
        for target in targets - {"plugins", "graph_rewrites"}
        if ORDER.index(target) > ORDER.index(source) and (source, target) not in EXCEPTIONS
    }
    assert backwards == set()


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
    assert loaded_by("pluginkit.cli.main", HEAVY) == "[]"


def test_plugins_need_neither_tensorrt_nor_a_gpu() -> None:
    without_numpy = [name for name in HEAVY if name != "numpy"]
    for module in ("pluginkit.plugins.scatter_elements", "pluginkit.plugins.circ_pad"):
        assert loaded_by(module, without_numpy) == "[]"
    assert loaded_by("pluginkit.plugin, pluginkit.calls", HEAVY) == "[]"
