import shutil

import numpy as np
import pytest

from pluginkit import Case, Fill, Input, Output, Plugin, float32
from pluginkit.checking.checks.export_checks import exports
from pluginkit.checking.outcomes import Failure, NotRun
from pluginkit.checking.plugin_under_test import Subject
from pluginkit.export.compile import compiler
from pluginkit.export.generate import cpp_expressions


class Padded(Plugin):
    """x, with twice as many rows."""

    x = Input(float32)
    y = Output(float32)

    def output_shapes(self, x):
        return (2 * x.shape[0], x.shape[1])

    def launches(self, x, y):
        return Fill(y, 0)

    def reference(self, x):
        return np.zeros((2 * x.shape[0], x.shape[1]), np.float32)

    @classmethod
    def cases(cls):
        yield Case("one", [np.ones((2, 3), np.float32)])


class Own(Padded):
    """Its enqueue is arbitrary code."""

    launches = Plugin.launches

    def enqueue(self, inputs, outputs, workspace, stream):
        raise AssertionError


needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.mark.slow
@needs_compiler
def test_a_sound_plugin_passes() -> None:
    remark = exports.run(Subject(Padded))
    assert remark is not None
    assert remark.startswith("1 variant, ")
    assert int(remark.split()[2]) >= 20


@pytest.mark.slow
@needs_compiler
def test_a_wrong_generator_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cpp_expressions._INFIX, "mul", "+")
    with pytest.raises(Failure) as caught:
        exports.run(Subject(Padded))
    assert "differs from the Python class" in caught.value.got


def test_without_a_compiler_it_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler.shutil, "which", lambda _: None)
    with pytest.raises(NotRun, match="apt-get install g"):
        exports.run(Subject(Padded))


def test_a_plugin_with_an_enqueue_of_its_own_is_not_run() -> None:
    with pytest.raises(NotRun, match="enqueue"):
        exports.run(Subject(Own))
