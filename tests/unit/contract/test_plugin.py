import pickle
from typing import Literal

import numpy as np
import pytest

from pluginkit import Input, Output, Plugin, attribute, float32
from pluginkit.errors import AttributeValueError, UsageError


class Blend(Plugin):
    """Every kind of attribute, and an optional input in the middle."""

    steps: int = attribute()
    mode: Literal["mean", "max"] = attribute(default="mean")
    weights: tuple[float, ...] = attribute(default=())
    table: np.ndarray = attribute(default=np.zeros(2, np.int64))
    a = Input(float32)
    mask = Input(float32, optional=True)
    b = Input(float32, optional=True)
    y = Output(float32)

    def output_shapes(self, a, mask, b):
        return a.shape

    def launches(self, a, mask, b, y):
        return []

    def reference(self, a, mask, b):
        return a


def test_attributes_are_values_of_the_instance() -> None:
    plugin = Blend(steps=2**40, weights=[0.1, 2])
    assert plugin.attribute_values["steps"] == 2**40
    assert plugin.weights == (0.1, 2.0)
    assert plugin.mode == "mean"
    assert repr(plugin).startswith("Blend(steps=1099511627776, mode='mean', weights=(0.1, 2.0)")


def test_unknown_and_missing_attributes_are_named() -> None:
    with pytest.raises(
        AttributeValueError, match="PK108 Blend: no attribute 'step'; expected one of: steps, mode"
    ):
        Blend(step=3)
    with pytest.raises(
        AttributeValueError, match="PK109 Blend: attribute 'steps' is missing; expected int"
    ):
        Blend()


def test_an_instance_is_immutable() -> None:
    plugin = Blend(steps=1)
    with pytest.raises(AttributeError, match="immutable"):
        plugin.steps = 2
    with pytest.raises(AttributeError, match="immutable"):
        del plugin.steps


def test_equality_is_by_class_attributes_and_inputs() -> None:
    assert Blend(steps=1) == Blend(steps=1)
    assert hash(Blend(steps=1)) == hash(Blend(steps=1))
    assert Blend(steps=1) != Blend(steps=2)
    assert Blend(steps=1) != Blend(steps=1).with_inputs("a")
    assert Blend(steps=1) != 1


def test_pickle_keeps_attributes_and_inputs() -> None:
    plugin = Blend(steps=3).with_inputs("a", "b")
    copy = pickle.loads(pickle.dumps(plugin))  # noqa: S301  # written a line above
    assert copy == plugin
    assert copy.present == (True, False, True)


def test_the_wire_form_round_trips() -> None:
    table = np.arange(3, dtype=np.int64) << 40
    plugin = Blend(steps=2**40, mode="max", weights=(0.1,), table=table).with_inputs("a", "b")
    wire = plugin.to_wire()
    assert wire["pluginkit_inputs"] == "a,b"
    returned = Blend.from_wire(wire)
    assert returned == plugin
    assert returned.present == (True, False, True)
    np.testing.assert_array_equal(returned.table, table)


def test_attributes_that_a_node_lacks_take_their_defaults() -> None:
    plugin = Blend.from_wire({"steps": 5, "unrelated": 1})
    assert (plugin.steps, plugin.mode, plugin.present) == (5, "mean", (True, True, True))


def test_an_attribute_that_is_none_is_left_out_of_the_wire_form() -> None:
    class Along(Blend):
        """An attribute that may be absent."""

        axis: int | None = attribute(default=None)

    assert "axis" not in Along(steps=1).to_wire()
    assert Along.from_wire(Along(steps=1, axis=0).to_wire()).axis == 0
    assert Along.from_wire(Along(steps=1).to_wire()).axis is None


def test_optional_inputs_are_checked() -> None:
    with pytest.raises(UsageError, match="PK110 Blend: required input 'a' is absent"):
        Blend(steps=1).with_inputs("mask")
    with pytest.raises(UsageError, match="PK110 Blend has no input 'c'"):
        Blend(steps=1).with_inputs("a", "c")


def test_methods_that_are_left_out_have_a_meaning() -> None:
    plugin = Blend(steps=1)
    assert plugin.check() is None
    assert plugin.workspace_bytes() == 0
    assert list(plugin.cases()) == []
