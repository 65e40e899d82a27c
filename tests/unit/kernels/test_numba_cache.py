import re
from pathlib import Path

import pytest

from pluginkit.kernels import numba_cache
from pluginkit.kernels.disk_cache import cache_folder
from pluginkit.kernels.numba_cache import cache_key, compiled_numba
from pluginkit.kernels.specialise import NumbaSpecialisation

SOURCE = """
from numba import cuda

def scale(x, factor):
    i = cuda.grid(1)
    if i < x.size:
        x[i] = x[i] * factor
"""


@pytest.fixture
def wanted(tmp_path, monkeypatch) -> NumbaSpecialisation:
    from pluginkit import TensorDesc, float32
    from pluginkit.contract.tensors import Slot
    from pluginkit.kernels.arguments import argument_types

    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "kernel.py").write_text(SOURCE)
    monkeypatch.setenv("PLUGINKIT_CACHE", str(tmp_path / "cache"))
    x = TensorDesc("x", (4,), float32, Slot("input"))
    return NumbaSpecialisation(folder / "kernel.py", "scale", argument_types("scale", (x, 2.0)))


def forbid_compiling(monkeypatch) -> None:
    def refuse(*_):
        raise AssertionError("compiled again")

    monkeypatch.setattr(numba_cache, "compile_numba", refuse)


def test_a_kernel_is_compiled_once(wanted, monkeypatch) -> None:
    first = compiled_numba(wanted, "80")
    assert first.cubin.startswith(b"\x7fELF")
    forbid_compiling(monkeypatch)
    assert compiled_numba(wanted, "80") == first


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"x",
        b"{}\n",
        b"[" * 100_000,
        b"[]\n",
        lambda data: data[:-1],
        lambda data: data[7:],
        lambda data: re.sub(rb"(sizes\": )\[\[.*?\]\]", rb"\1[[1e999]]", data, count=1),
    ],
)
def test_a_damaged_file_is_compiled_again_and_replaced(wanted, monkeypatch, damage) -> None:
    first = compiled_numba(wanted, "80")
    (file,) = cache_folder().iterdir()
    file.write_bytes(damage if isinstance(damage, bytes) else damage(file.read_bytes()))
    again = compiled_numba(wanted, "80")
    assert again.parameter_sizes == first.parameter_sizes  # numba numbers the symbols
    forbid_compiling(monkeypatch)
    assert compiled_numba(wanted, "80") == again


def test_everything_that_the_code_follows_from_is_in_the_key(wanted, monkeypatch) -> None:
    keys = [cache_key(wanted, "80"), cache_key(wanted, "90")]
    keys.append(cache_key(NumbaSpecialisation(wanted.path, "other", wanted.types), "80"))
    keys.append(cache_key(NumbaSpecialisation(wanted.path, "scale", wanted.types[:1]), "80"))
    monkeypatch.setattr(numba_cache, "version", lambda package: f"next {package}")
    keys.append(cache_key(wanted, "80"))
    wanted.path.write_text(wanted.path.read_text() + "# changed\n")
    keys.append(cache_key(wanted, "80"))
    (wanted.path.parent / "helper.py").write_text("FACTOR = 2\n")
    keys.append(cache_key(wanted, "80"))
    assert len(set(keys)) == len(keys)


def test_a_folder_that_cannot_be_written_is_no_obstacle(wanted, monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLUGINKIT_CACHE", str(tmp_path / "file" / "cache"))
    assert compiled_numba(wanted, "80").symbols


def test_the_folder_follows_the_environment(monkeypatch) -> None:
    monkeypatch.delenv("PLUGINKIT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/pluginkit")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "pluginkit"
