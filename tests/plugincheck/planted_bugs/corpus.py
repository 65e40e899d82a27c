"""How a planted bug is noted, and the sound plugins that the bugs are planted in."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pluginkit import (
    Case,
    CudaKernel,
    Fill,
    Input,
    InputError,
    Launch,
    Output,
    Plugin,
    TensorDesc,
    ceil_div,
    float32,
    int32,
)

BLOCK = 128

Decorator = Callable[[type[Plugin]], type[Plugin]]


@dataclass(frozen=True)
class Planted:
    """A plugin with one bug.

    Attributes:
        plugin: its docstring says what is wrong.
        findings: kinds of the sanitizer's findings, any of which names the bug; none where only the
            results tell.
        check: the check that must fail.
    """

    plugin: type[Plugin]
    findings: tuple[str, ...]
    check: str


_bugs: list[Planted] = []
_sound: list[type[Plugin]] = []


def planted(*findings: str) -> Decorator:
    """Note a bug that the sanitizer must name by one of these kinds of findings."""

    def note(plugin: type[Plugin]) -> type[Plugin]:
        _bugs.append(Planted(plugin, findings, "sanitizer"))
        return plugin

    return note


def planted_in_results(check: str) -> Decorator:
    """Note a bug that shows in the results alone, and the check that must see it."""

    def note(plugin: type[Plugin]) -> type[Plugin]:
        _bugs.append(Planted(plugin, (), check))
        return plugin

    return note


def sound(plugin: type[Plugin]) -> type[Plugin]:
    """Note a plugin with nothing wrong."""
    _sound.append(plugin)
    return plugin


def bugs() -> list[Planted]:
    """Every planted bug, from all modules of this folder."""
    _import_all()
    return list(_bugs)


def sound_plugins() -> list[type[Plugin]]:
    """Every sound plugin, likewise."""
    _import_all()
    return list(_sound)


def _import_all() -> None:
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name.endswith(("_bugs", "_twins")):
            importlib.import_module(f"{package}.{module.name}")


def cuda(source: str) -> CudaKernel:
    """The one ``__global__`` function of a CUDA C++ source."""
    return CudaKernel(source, re.findall(r"__global__ void (\w+)\(", source)[-1])


def line(length: int) -> np.ndarray:
    """Values that differ from each other, with an exact sum."""
    return np.arange(length, dtype=np.float32) - length // 2


def refuse_empty(x: TensorDesc) -> None:
    """For an operator that has no result without elements.

    Errors:
        empty: x has no element.
    """
    if x.size == 0:
        raise InputError(f"{x} is empty; expected an element.", code="empty")


def blocks_for(x: TensorDesc) -> int:
    """A thread for each element, and a block for none."""
    return max(1, ceil_div(x.size, BLOCK))


class Doubled(Plugin, abstract=True):
    """y = 2 x, one thread an element: ``kernel(y, x, n)``."""

    types = {"T": (float32,)}
    x = Input("T", ranks=(1, 1))
    y = Output("T", like="x")

    def launches(self, x, y):
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, (y, x, int32(x.size)))

    def reference(self, x):
        return x * np.float32(2)

    @classmethod
    def cases(cls):
        yield Case("line", [line(1000)])


class Rows(Plugin, abstract=True):
    """A value for each row of a matrix, one block a row: ``kernel(y, x, columns)``."""

    types = {"T": (float32,)}
    x = Input("T", ranks=(2, 2))
    y = Output("T")

    def output_shapes(self, x):
        return x.shape[:1]

    def launches(self, x, y):
        return Launch(self.kernel, x.shape[0], BLOCK, (y, x, int32(x.shape[1])))

    def reference(self, x):
        return x.sum(axis=1)

    @classmethod
    def cases(cls):
        yield Case("rows", [line(6 * 200).reshape(6, 200) % np.float32(7)])


class Total(Plugin, abstract=True):
    """The sum of all elements, many blocks: ``kernel(y, x, n)``; y begins at 0."""

    types = {"T": (float32,)}
    x = Input("T", ranks=(1, 1))
    y = Output("T")

    def output_shapes(self, x):
        return (1,)

    def launches(self, x, y):
        launch = Launch(self.kernel, blocks_for(x), BLOCK, (y, x, int32(x.size)))
        return Fill(y, 0), launch

    def reference(self, x):
        return x.sum(keepdims=True)

    @classmethod
    def cases(cls):
        yield Case("line", [line(1000) % np.float32(5)])


class Gathered(Plugin, abstract=True):
    """y[i] = x[indices[i]]: ``kernel(y, x, indices, n)``."""

    types = {"T": (float32,), "I": (int32,)}
    x = Input("T", ranks=(1, 1))
    indices = Input("I", ranks=(1, 1))
    y = Output("T")

    def output_shapes(self, x, indices):
        return indices.shape

    def launches(self, x, indices, y):
        args = (y, x, indices, int32(indices.size))
        return Launch(self.kernel, ceil_div(indices.size, BLOCK), BLOCK, args)

    def reference(self, x, indices):
        return x[indices]

    @classmethod
    def cases(cls):
        yield Case("indices", [line(50), np.arange(-50, 50, dtype=np.int32)])
