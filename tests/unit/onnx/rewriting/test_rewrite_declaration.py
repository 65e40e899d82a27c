"""Rewrite classes and patterns that are declared wrongly."""

import pytest

from pluginkit.errors import DeclarationError
from pluginkit.onnx.rewriting.rewrite import Op, Rewrite
from tests.unit.onnx.models import (
    Silu,
)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"plugin": Silu}, "pattern is None"),
        ({"plugin": Silu, "pattern": 3}, "pattern is 3"),
        ({"pattern": "Relu", "native_since": {"trt": "10"}}, "native_since is {'trt'"),
        ({"pattern": "Relu", "native_since": {"tensorrt": "new"}}, "native_since is {'tensorrt'"),
        ({"pattern": "Relu", "order": "last"}, "order is 'last'"),
        ({"pattern": "Relu", "opt_in": 1}, "opt_in is 1"),
        ({"pattern": "Relu", "plugin": int}, "plugin is <class 'int'>"),
        ({"pattern": "Relu", "plugin": Silu}, "has no rewrite()"),
        ({"pattern": "Relu", "plugin": Silu, "rewrite": lambda self: None}, "takes no match"),
        (
            {
                "pattern": "Relu",
                "plugin": Silu,
                "rewrite": lambda self, m: None,
                "__doc__": "Nice.",
            },
            "formula",
        ),
    ],
)
def test_a_wrong_declaration_is_an_error_at_once(members, message):
    with pytest.raises(DeclarationError) as caught:
        type("Wrong", (Rewrite,), {"__doc__": "a -> b."} | members)
    assert caught.value.code == "PK420"
    assert message in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize(
    "make", [lambda: Op(3), lambda: Op("Add", [3]), lambda: Op("Add", "x", commutative=True)]
)
def test_a_wrong_pattern_is_an_error(make):
    with pytest.raises(DeclarationError) as caught:
        make()
    assert caught.value.code == "PK420"
