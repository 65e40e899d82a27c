"""Tests of a plugin: run with ``pytest 07_test_a_plugin.py``, with a GPU or without.

pluginkit brings its pytest plugin along; a check that this machine cannot run is a skip that says
what it needs.
"""

import numpy as np
import pytest

from pluginkit import Case, Copy, Input, Output, Plugin, float16, float32
from pluginkit.testing import CheckError, PluginChecks, run_reference


class Same(Plugin):
    """y = x."""

    types = {"T": (float32, float16)}
    x = Input("T")
    y = Output("T", like="x")

    def launches(self, x, y):
        return Copy(y, x)

    def reference(self, x):
        return x

    @classmethod
    def cases(cls):
        yield Case("matrix", [np.arange(6, dtype=np.float32).reshape(2, 3)])
        yield Case("empty", [np.ones((0, 3), np.float32)])


class Wrong(Same):
    """Gives a row less than it promises."""

    def reference(self, x):
        return x[1:]


class TestSame(PluginChecks):
    """One test for each check: these lines are all that a plugin needs."""

    plugin = Same


def test_same_with_cases_of_its_own(plugincheck):
    """The fixture runs the checks that are named, on the cases that are given."""
    report = plugincheck(Same, [Case("one", [np.ones(1, np.float32)])], only=["shape_function"])
    assert [result.status for result in report.results] == ["passed"]


def test_a_wrong_plugin_is_found(plugincheck):
    """What a failing check raises shows what was got and what was expected."""
    with pytest.raises(CheckError, match="shape_function"):
        plugincheck(Wrong, only=["shape_function"])


def test_the_numbers():
    """What the plugin computes, by hand."""
    (y,) = run_reference(Same(), [np.array([1, 2], np.float32)])
    assert y.tolist() == [1, 2]
