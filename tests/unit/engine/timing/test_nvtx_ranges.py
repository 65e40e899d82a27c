import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pluginkit.engine.timing.nvtx_ranges import nvtx_ranges


def test_cupy_opens_ranges_without_the_package_nvtx(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cupy")
    monkeypatch.setitem(sys.modules, "nvtx", None)
    open_range, package = nvtx_ranges()
    assert package == "cupy"
    with pytest.raises(ZeroDivisionError), open_range("run 0"):
        raise ZeroDivisionError


def test_the_package_nvtx_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvtx", SimpleNamespace(annotate=nullcontext))
    assert nvtx_ranges() == (nullcontext, "nvtx")


def test_without_both_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvtx", None)
    monkeypatch.setitem(sys.modules, "cupy.cuda", None)
    open_range, package = nvtx_ranges()
    assert package == ""
    with open_range("run 0"):
        pass
