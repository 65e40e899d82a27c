"""What kernels and launches share is written down once, in Python."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pluginkit import CudaKernel, Plugin, find_plugins
from pluginkit.errors import KernelError
from pluginkit.kernels.compile import compile_cuda
from pluginkit.kernels.specialise import cuda_specialisation
from pluginkit.plugins.scatter_elements import ScatterElements
from pluginkit.plugins.top_k import TopK
from tests.plugins.compilation import QUICK

ROOT = Path(__file__).parents[2] / "plugins"

_COMMENT = re.compile(r"//.*")
_CONSTANT = re.compile(r"\b([A-Z][A-Z0-9_]+) = ([^;,]+)[;,]")
_ENUM = re.compile(r"enum(?: class)? \w+ {([^}]*)}")
_SHARED = re.compile(r"pluginkit::(\w+)")


def cuda_kernels(plugin: type[Plugin]) -> list[CudaKernel]:
    return [each for each in plugin.spec.kernels.values() if isinstance(each, CudaKernel)]


PLUGINS = sorted(
    (
        each
        for each in find_plugins().values()
        if each.__module__.startswith("pluginkit.plugins.") and cuda_kernels(each)
    ),
    key=lambda each: each.__name__,
)
each_plugin = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda each: each.__name__)


def cuda_source(plugin: type[Plugin]) -> str:
    """The sources and headers of all kernels, without comments."""
    files = sorted({file for kernel in cuda_kernels(plugin) for file in kernel.files})
    return _COMMENT.sub("", "\n".join(file.read_text() for file in files))


def python_constants(plugin: type[Plugin]) -> set[str]:
    """The names of the constants in the plugin's modules and in those that plugins share."""
    folder = ROOT / plugin.__module__.rpartition(".")[2]
    trees = [ast.parse(path.read_text()) for path in (*folder.glob("*.py"), *ROOT.glob("_*/*.py"))]
    assigned = [node for tree in trees for node in tree.body if isinstance(node, ast.Assign)]
    names = [name for node in assigned for name in ast.walk(node) if isinstance(name, ast.Name)]
    return {name.id.strip("_") for name in names if isinstance(name.ctx, ast.Store)}


def test_plugins_in_cuda_are_found() -> None:
    assert len(PLUGINS) >= 7
    assert {"DIGIT_BITS", "THREADS"} <= python_constants(TopK)
    assert "template" in cuda_source(TopK)


@each_plugin
def test_sources_use_every_shared_constant_and_no_other(plugin: type[Plugin]) -> None:
    shared = {name for kernel in cuda_kernels(plugin) for name in kernel.defines}
    assert set(_SHARED.findall(cuda_source(plugin))) == shared
    assert shared


@each_plugin
def test_no_source_repeats_the_value_of_a_constant_of_python(plugin: type[Plugin]) -> None:
    constants = python_constants(plugin)
    repeated = {
        name: value
        for name, value in _CONSTANT.findall(cuda_source(plugin))
        if name in constants and not re.search("[A-Za-z_]{2}", value)
    }
    assert not repeated


@each_plugin
def test_no_source_repeats_the_choices_of_an_attribute(plugin: type[Plugin]) -> None:
    choices = {each for attribute in plugin.spec.attributes for each in attribute.choices or ()}
    for members in _ENUM.findall(cuda_source(plugin)):
        assert not choices & {each.strip() for each in members.split(",")}


def test_a_repeated_value_would_be_found() -> None:
    source = "constexpr int THREADS = 512;\nconstexpr int BINS = 1 << DIGIT_BITS, LOADS = 8;"
    found = dict(_CONSTANT.findall(source))
    assert found == {"THREADS": "512", "BINS": "1 << DIGIT_BITS", "LOADS": "8"}


def compiled(kernel: CudaKernel, expression: str) -> bytes:
    return compile_cuda([cuda_specialisation(kernel, expression)], QUICK).cubin


@pytest.mark.parametrize(
    ("kernel", "expression", "name", "value"),
    [
        (TopK.select_kernel, "select_keys<float, true, true>", "LOADS", 4),
        (ScatterElements.link_rows, "link_rows<int, false, 16>", "ROWS_A_WARP", 2),
        (ScatterElements.link_rows, "link_rows<int, false, 1>", "EMPTY_BYTE", 0xFE),
    ],
    ids=["LOADS", "ROWS_A_WARP", "EMPTY_BYTE"],
)
def test_a_constant_that_changes_in_python_changes_the_machine_code(
    kernel: CudaKernel, expression: str, name: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = compiled(kernel, expression)
    monkeypatch.setattr(kernel, "defines", kernel.defines | {name: value})
    assert compiled(kernel, expression) != before


@pytest.mark.parametrize("name", ["DIGIT_BYTES", "CANDIDATES_BYTES"])
def test_a_size_that_does_not_fit_its_struct_does_not_compile(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = TopK.select_kernel
    monkeypatch.setattr(kernel, "defines", kernel.defines | {name: 4})
    with pytest.raises(KernelError, match="PK320") as caught:
        compiled(kernel, "select_keys<float, true, true>")
    assert "static assertion" in str(caught.value.cause)


@pytest.mark.parametrize("plugin", find_plugins().values(), ids=lambda each: each.__name__)
def test_a_plugins_docstring_lists_its_errors(plugin: type[Plugin]) -> None:
    folder = ROOT / plugin.__module__.rpartition(".")[2]
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    raised = set(re.findall(r'code="(\w+)"', text))
    listed = (plugin.__doc__ or "").partition("Errors:")[2].partition("Source:")[0]
    assert raised == set(re.findall(r"(?:^|\. )\s*(\w+): ", listed.replace("\n", " ")))
