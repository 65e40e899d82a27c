"""Shapes that a class declares: what calls must have, and what follows for outputs and checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pluginkit import FLOAT_TYPES, Case, Input, Output, Plugin, float32
from pluginkit.checking.checks.shape_checks import sizes_of
from pluginkit.checking.plugin_under_test import Subject
from pluginkit.contract import calls
from pluginkit.contract.declared_shapes import DeclaredShape, widened
from pluginkit.contract.dims import DimExpr, InputDim
from pluginkit.errors import DeclarationError, TensorError


class BoxPairs(Plugin):
    """One number for each pair of boxes."""

    types = {"T": FLOAT_TYPES}
    a = Input("T", shape=("N", 4))
    b = Input("T", shape=("M", 4))
    weight = Input(float32, shape=("M",), optional=True)
    y = Output("T", shape=("N", "M"))
    corners = Output("T", shape=("M", 2, "N"))

    def launches(self, a, b, weight, y, corners):
        return []

    def reference(self, a, b, weight):
        return np.zeros((len(a), len(b)), a.dtype), np.zeros((len(b), 2, len(a)), a.dtype)

    @classmethod
    def cases(cls):
        yield Case("same", [np.ones((3, 4), np.float32), np.ones((3, 4), np.float32), None])


class Batches(Plugin):
    """Two tensors of one shape, and one with the batch of both behind anything."""

    x = Input(float32, shape=("*S",))
    z = Input(float32, shape=("*S",))
    scale = Input(float32, shape=(..., "B", None))
    y = Output(float32, shape=("B", "*S", 2))

    def launches(self, x, z, scale, y):
        return []

    def reference(self, x, z, scale):
        return np.zeros((scale.shape[-2], *x.shape, 2), np.float32)


def run(plugin: Plugin, *shapes: tuple[int, ...]) -> list[tuple[int, ...]]:
    arrays = [np.ones(shape, np.float32) for shape in shapes]
    return [array.shape for array in calls.run_reference(plugin, arrays)]


PAIRS = BoxPairs().with_inputs("a", "b")


def test_outputs_have_the_sizes_of_their_names():
    assert run(PAIRS, (5, 4), (3, 4)) == [(5, 3), (3, 2, 5)]
    assert run(Batches(), (2, 3), (2, 3), (7, 1)) == [(7, 2, 3, 2)]
    assert run(Batches(), (), (), (9, 8, 7, 1)) == [(7, 2)]


def test_unknown_dimensions_give_expressions_and_known_ones_win():
    unknown = [(InputDim(0, 0), InputDim(0, 1)), (3, InputDim(1, 1)), (InputDim(2, 0),)]
    inputs = calls.describe_inputs(BoxPairs(), unknown, [float32] * 3)
    calls.check(BoxPairs(), inputs)
    y, corners = calls.output_shapes(BoxPairs(), inputs)
    assert isinstance(y[0], DimExpr)
    assert str(y[0]) == "a.shape[0]"
    assert (y[1], corners[0], corners[1]) == (3, 3, 2)


@pytest.mark.parametrize(
    ("plugin", "shapes", "message"),
    [
        (PAIRS, [(5, 3), (3, 4)], r"input a float32\[5, 3\]; expected \(N, 4\)."),
        (PAIRS, [(5, 4), (3, 4, 1)], r"input b float32\[3, 4, 1\]; expected \(M, 4\)."),
        (
            BoxPairs(),
            [(5, 4), (3, 4), (2,)],
            r"input weight float32\[2\]; expected \(M,\) with M = 3 as in b float32\[3, 4\].",
        ),
        (
            Batches(),
            [(2, 3), (2, 5), (1, 1)],
            r"input z float32\[2, 5\]; expected \(\*S,\) with S\[1\] = 3 as in x float32\[2, 3\].",
        ),
        (
            Batches(),
            [(2, 3), (2,), (1, 1)],
            r"input z float32\[2\]; expected \(\*S,\) with the \*S of x float32\[2, 3\].",
        ),
        (Batches(), [(2,), (2,), (1,)], r"input scale float32\[1\]; expected \(..., B, \?\)."),
    ],
)
def test_another_shape_is_refused_with_what_was_expected(plugin, shapes, message):
    with pytest.raises(TensorError, match=f"^PK124 {type(plugin).__name__}: {message}$"):
        run(plugin, *shapes)


def test_known_sizes_are_compared_while_others_are_unknown():
    for shapes in ([(InputDim(0, 0), 3), (3, 4)], [(5, 4), (InputDim(1, 0), 5)]):
        inputs = calls.describe_inputs(PAIRS, shapes, [float32] * 2)
        with pytest.raises(TensorError, match="PK124"):
            calls.check(PAIRS, inputs)


def test_ranks_follow_from_shapes():
    assert [port.ranks for port in Batches.spec.inputs] == [(0, 8), (0, 8), (2, 8)]
    assert [port.ranks for port in BoxPairs.spec.inputs] == [(2, 2), (2, 2), (1, 1)]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (Input("T", shape=[1]), "expected a tuple"),
        (Input("T", shape=("N", 0)), "0 is no size"),
        (Input("T", shape=("N", 2.5)), "2.5 is no size, name, None or ..."),
        (Input("T", shape=("N", True)), "True is no size"),
        (Input("T", shape=("2*N",)), "'2\\*N' is no name"),
        (Input("T", shape=("*A", ...)), "only one of its items"),
        (Input("T", shape=("N",) * 9), "8 dimensions"),
        (Input("T", shape=("N", 2), ranks=(1, 2)), "the ranks .* and the shape .*; expected one"),
    ],
)
def test_shapes_that_are_no_shapes(member: Any, message: str):
    with pytest.raises(DeclarationError, match=f"PK103 .*{message}"):
        type("Broken", (BoxPairs,), {"a": member})


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (Output("T", shape=("K",)), "PK103 .*with 'K'; expected names of required"),
        (Output("T", shape=("N", None)), "PK103 .*with None; expected sizes and names"),
        (Output("T", shape=("N", ...)), "PK103 .*with \\.\\.\\.; expected"),
        (Output("T", shape=("N",), like="a"), "PK103 .*is like 'a'; expected one"),
    ],
)
def test_output_shapes_that_say_too_little_or_too_much(output: Any, message: str):
    with pytest.raises(DeclarationError, match=message):
        type("Broken", (BoxPairs,), {"corners": output})


def test_a_name_of_an_optional_input_alone_is_none_of_an_output():
    weight = Input(float32, shape=("K",), optional=True)
    with pytest.raises(DeclarationError, match="PK103 .*with 'K'"):
        type("Broken", (BoxPairs,), {"weight": weight, "y": Output("T", shape=("K",))})


def test_a_shape_and_output_shapes_are_one_too_many():
    with pytest.raises(DeclarationError, match="PK105 .*output 'y' has the shape"):
        type("Broken", (BoxPairs,), {"output_shapes": lambda self, a, b, weight: a.shape})


def test_the_sizes_that_are_tried_keep_numbers_and_vary_each_name():
    (call,) = Subject(BoxPairs, memory="host").calls("first")
    tried = [one and one.shapes for one in sizes_of(call)]
    assert tried == [
        [(3, 4), (3, 4)],
        [(1, 4), (1, 4)],
        [(7, 4), (7, 4)],
        [(6, 4), (6, 4)],
        [(0, 4), (0, 4)],
        [(7, 4), (3, 4)],  # N alone: an output of (N, N) for (N, M) would pass until here
        [(3, 4), (7, 4)],
        [(4, 4), (4, 4)],
        [(4, 4), (5, 4)],  # uneven
    ]


def test_the_wider_bounds_of_dimensions_that_are_equal_hold_for_each():
    declared = [DeclaredShape(("N", 4)), DeclaredShape(("*S",)), None, DeclaredShape(("*S", "N"))]
    opt = [(20, 4), (7,), (9,), (7, 20)]
    most = [(20, 4), (30,), (5,), (12, 512)]
    assert widened(declared, opt, most, max) == [(512, 4), (30,), (5,), (30, 512)]
    least = [(1, 4), (7,), (5,), (0, 20)]
    assert widened(declared, opt, least, min) == [(1, 4), (0,), (5,), (0, 1)]
    opt[0] = (21, 4)  # not equal: an error that the check of opt tells
    assert widened(declared, opt, most, max) == most
