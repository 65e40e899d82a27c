import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit import discovery
from pluginkit.engine.build.model_plugins import check_known, source_files, source_sha256
from pluginkit.errors import ModelError
from pluginkit.plugins.scatter_nd import ScatterND
from pluginkit.trt.flavour import Flavour

MODULE = '''
from pluginkit import CudaKernel, Input, Launch, Output, Plugin, float32

class Same(Plugin):
    """y = x"""

    x = Input(float32)
    y = Output(float32)
    kernel = CudaKernel("same.cu", "same")

    def output_shapes(self, x):
        return x.shape

    def launches(self, x, y):
        return Launch(self.kernel, 1, 1, (x, y))

    def reference(self, x):
        return x
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "same.py").write_text(MODULE, encoding="utf-8")
    (folder / "same.cu").write_text('#include "same.cuh"\n', encoding="utf-8")
    (folder / "same.cuh").write_text("// nothing\n", encoding="utf-8")
    (folder / "other.txt").write_text("unrelated", encoding="utf-8")
    return folder


def plugin_in(folder: Path) -> Any:
    return discovery.find_plugins([folder])["Same_PK", "1", "pluginkit"]


def test_module_kernel_and_headers_are_a_plugins_sources(folder: Path) -> None:
    files = source_files(plugin_in(folder))
    assert files == {name: folder / name for name in ("same.cu", "same.cuh", "same.py")}


def test_so_are_the_modules_of_its_collection_that_it_imports(folder: Path) -> None:
    for name, text in {
        "wide/__init__.py": MODULE.replace("Same", "Wide").replace("same.cu", "../same.cu")
        + "from . import near\nfrom .lower.deep import LIMIT\nimport json, pytest\n",
        "wide/near.py": "def later():\n    from .lazy import nothing\n",
        "wide/lazy.py": "nothing = None\n",
        "wide/unused.py": "",
        "wide/lower/__init__.py": "",
        "wide/lower/deep.py": "from ...beside import Thing\nLIMIT = 3\n",
        "beside.py": "class Thing: pass\nfrom .wide import near\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text, encoding="utf-8")
    plugin: Any = discovery.find_plugins([folder])["Wide_PK", "1", "pluginkit"]
    before = source_sha256(plugin)
    assert list(source_files(plugin)) == [
        "../beside.py", "../same.cu", "../same.cuh", "__init__.py", "lazy.py", "lower/__init__.py",
        "lower/deep.py", "near.py",
    ]  # fmt: skip
    (folder / "wide" / "unused.py").write_text("1", encoding="utf-8")
    assert source_sha256(plugin) == before
    (folder / "wide" / "lower" / "deep.py").write_text("LIMIT = 4\n", encoding="utf-8")
    assert source_sha256(plugin) != before


def test_a_shipped_plugins_sources_are_all_of_its_own() -> None:
    files = source_files(ScatterND)
    folder = Path(sys.modules[ScatterND.__module__].__file__ or "").parent
    mine = {path.name for path in folder.iterdir() if path.suffix in (".py", ".cu", ".cuh")}
    theirs = {f"../_cuda/{name}" for name in ("reduce.cuh", "row_lists.cuh", "row_lists.py")}
    assert mine <= set(files)
    assert theirs <= set(files)
    assert all("plugins" in path.parts for path in files.values())


def test_the_hash_changes_with_each_source_and_with_nothing_else(folder: Path) -> None:
    plugin = plugin_in(folder)
    hashes = {source_sha256(plugin)}
    (folder / "other.txt").write_text("changed", encoding="utf-8")
    assert {source_sha256(plugin)} == hashes
    for number, name in enumerate(("same.py", "same.cu", "same.cuh"), start=2):
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write("\n")
        hashes.add(source_sha256(plugin))
        assert len(hashes) == number


def test_the_hash_changes_with_what_a_kernel_shares_with_python(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = plugin_in(folder)
    kernel = plugin.spec.kernels["kernel"]
    hashes = {source_sha256(plugin)}
    for number, defines in enumerate(({"N": 1}, {"N": 2}), start=2):
        monkeypatch.setattr(kernel, "defines", defines)
        hashes.add(source_sha256(plugin))
        assert len(hashes) == number


def test_a_plugin_without_a_file_has_no_hash(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = plugin_in(folder)
    monkeypatch.delattr(sys.modules[plugin.spec.module], "__file__")
    monkeypatch.setattr(plugin.spec.kernels["kernel"], "path", None)
    assert source_sha256(plugin) == ""


def flavour_with(*registered: tuple[str, str, str]) -> Flavour:
    creators = [
        SimpleNamespace(name=name, plugin_version=version, plugin_namespace=namespace)
        for name, version, namespace in registered
    ]
    registry = SimpleNamespace(all_creators_recursive=creators)
    return Flavour("fake", SimpleNamespace(get_plugin_registry=lambda: registry), "10.16")


def model_with(op_type: str, domain: str, **attributes: str) -> onnx.ModelProto:
    node = helper.make_node(op_type, ["x"], ["y"], name="n", domain=domain, **attributes)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["d"]) for name in "xy"]
    return helper.make_model(helper.make_graph([node], "g", values[:1], values[1:]))


def is_known(*given: Any) -> bool:
    """Tell whether check_known takes a model; any error but PK523 comes through."""
    try:
        check_known(*given)
    except ModelError as error:
        if error.code != "PK523":
            raise
        return False
    return True


def test_found_and_registered_plugins_are_known(folder: Path) -> None:
    plugins = discovery.find_plugins([folder])
    assert is_known(model_with("Same_PK", "pluginkit"), plugins, flavour_with())
    theirs = model_with("NMS_TRT", "", plugin_namespace="theirs", plugin_version="2")
    assert is_known(theirs, {}, flavour_with(("NMS_TRT", "2", "theirs")))
    assert not is_known(theirs, {}, flavour_with(("NMS_TRT", "1", "theirs")))


def test_ordinary_nodes_are_no_plugins() -> None:
    assert is_known(model_with("Relu", ""), {}, flavour_with())
    assert is_known(model_with("Gelu", "com.microsoft"), {}, flavour_with())


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, "Same_PK version 1 of namespace 'pluginkit'"),
        ({"plugin_version": "3"}, "Same_PK version 3 of namespace 'pluginkit'"),
        ({"plugin_namespace": "mine"}, "Same_PK version 1 of namespace 'mine'"),
    ],
)
def test_an_unknown_plugin_is_named_with_its_node(attributes: dict[str, str], said: str) -> None:
    with pytest.raises(ModelError, match=f"PK523.*{said}") as caught:
        check_known(model_with("Same_PK", "pluginkit", **attributes), {}, flavour_with())
    assert "Same_PK 'n'" in str(caught.value.where)


def test_the_nearest_plugin_is_suggested(folder: Path) -> None:
    plugins = discovery.find_plugins([folder])
    with pytest.raises(ModelError) as caught:
        check_known(model_with("Sam_PK", "pluginkit"), plugins, flavour_with())
    assert "Same_PK version 1" in str(caught.value.cause)
