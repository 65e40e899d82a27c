import pytest

from pluginkit.contract.dtypes import FLOAT_TYPES, OUTPUT_TYPES, bool_, float32, int32
from pluginkit.scaffold.names import module_of, port_name
from pluginkit.scaffold.onnx_schema import operator_of
from pluginkit.scaffold.python_text import call, dtypes_expression, imports


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("CircPad", "circ_pad"),
        ("AddRMSNorm", "add_rms_norm"),
        ("ScatterND", "scatter_nd"),
        ("TopK", "top_k"),
        ("Col2Im", "col2im"),
        ("Pad", "pad"),
    ],
)
def test_a_module_is_called_as_those_that_ship(name: str, module: str) -> None:
    assert module_of(name) == module


@pytest.mark.parametrize(
    ("name", "expected"),
    [("X", "x"), ("min", "min_"), ("lambda", "lambda_"), ("kernel", "kernel_"), ("a-b", "a_b"),
     ("y", "y_"), ("check", "check_")],
)  # fmt: skip
def test_a_port_is_called_like_nothing_else(name: str, expected: str) -> None:
    assert port_name(name, {"y"}) == expected


def test_a_call_is_broken_where_ruff_breaks_it() -> None:
    assert call("f(", ["a", "b"], ")") == "f(a, b)"
    assert call("f(", [], ")" * 200) == "f(" + ")" * 200
    words = ["a" * 30] * 3
    assert call("f(", words, ")") == f"f({', '.join(words)})"
    assert call("function(", words, ")") == f"function(\n    {', '.join(words)}\n)"
    lines = "".join(f"    {word},\n" for word in words * 2)
    assert call("f(", words * 2, ")") == f"f(\n{lines})"


def test_imports_are_in_ruffs_order() -> None:
    names = ["int64", "int8", "Plugin", "Case", "FLOAT_TYPES", "attribute", "Case"]
    assert imports("m", names) == (
        "from m import FLOAT_TYPES, Case, Plugin, attribute, int8, int64"
    )
    assert imports("m" * 60, names).count("\n") == 7


def test_lists_of_types_go_by_their_names() -> None:
    assert dtypes_expression(OUTPUT_TYPES) == "OUTPUT_TYPES"
    assert dtypes_expression(FLOAT_TYPES) == "FLOAT_TYPES"
    assert dtypes_expression((*OUTPUT_TYPES, bool_)) == "(*OUTPUT_TYPES, bool_)"
    assert dtypes_expression((float32,)) == "(float32,)"
    assert dtypes_expression((int32, bool_)) == "(int32, bool_)"


def test_an_operator_says_since_when_it_has_been_alike() -> None:
    softmax = operator_of("Softmax")
    assert (softmax.since, softmax.alike_since) == (13, 13)
    elu = operator_of("ai.onnx::Elu")
    assert elu.alike_since == 6 < elu.since
    assert str(elu) == f"ONNX Elu-{elu.since}"
    assert str(operator_of("com.example::Swish")) == "com.example::Swish"
