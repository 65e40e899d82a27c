import math
from typing import Any, Literal

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluginkit.contract.attributes import REQUIRED, AttributeSpec, attribute
from pluginkit.contract.spec_from_class import attribute_spec
from pluginkit.errors import AttributeValueError, DeclarationError

INT64 = st.integers(-(2**63), 2**63 - 1)
DOUBLE = st.floats(allow_nan=True, allow_infinity=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))

STRATEGIES: dict[Any, st.SearchStrategy[Any]] = {
    int: INT64,
    float: DOUBLE,
    str: TEXT | st.just("json:5") | st.just("a\0b\0"),
    bool: st.booleans(),
    tuple[int, ...]: st.lists(INT64).map(tuple),
    tuple[int, int]: st.tuples(INT64, INT64),
    tuple[float, ...]: st.lists(DOUBLE).map(tuple),
    tuple[str, ...]: st.lists(TEXT).map(tuple),
    tuple[bool, ...]: st.lists(st.booleans()).map(tuple),
}


def spec_of(annotation: Any, **declaration: Any) -> AttributeSpec:
    return attribute_spec("Owner", "a", annotation, attribute(**declaration))


def is_same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return type(b) is tuple and len(a) == len(b) and all(map(is_same, a, b))
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    return type(a) is type(b) and a == b and str(a) == str(b)


def survives_tensorrt(wire: Any) -> bool:
    """Whether TensorRT's parser carries the value exactly: what the wire form promises."""
    if isinstance(wire, str):
        return "\0" not in wire
    items = wire if isinstance(wire, list) else [wire]
    if not items or len({type(item) for item in items}) != 1:
        return False
    if isinstance(items[0], int):
        return all(-(2**31) <= item < 2**31 for item in items)
    return all(float(np.float32(item)) == item for item in items)


@pytest.mark.parametrize("annotation", STRATEGIES, ids=str)
@given(data=st.data())
def test_values_survive_the_wire_form(annotation: Any, data: st.DataObject) -> None:
    spec = spec_of(annotation)
    value = data.draw(STRATEGIES[annotation])
    wire = spec.to_wire(spec.validate("Owner", value))
    assert survives_tensorrt(wire)
    assert is_same(spec.from_wire("Owner", wire), value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int64).reshape(2, 3) << 40,
        np.array(0.1),
        np.array([], np.float32).reshape(0, 4),
        np.array([True, False]),
        np.array([1.5, float("nan")], ml_dtypes.bfloat16),
        np.arange(4, dtype=">i4"),
        np.arange(8, dtype=np.uint8)[::2],
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_arrays_survive_the_wire_form(array: np.ndarray) -> None:
    spec = spec_of(np.ndarray)
    wire = spec.to_wire(spec.validate("Owner", array))
    returned = spec.from_wire("Owner", wire)
    assert survives_tensorrt(wire)
    assert returned.shape == array.shape
    assert returned.dtype == array.dtype.newbyteorder("=")
    assert returned.tobytes() == np.ascontiguousarray(array).astype(returned.dtype).tobytes()
    assert not returned.flags.writeable


def test_readable_values_stay_readable() -> None:
    assert spec_of(int).to_wire(-1) == -1
    assert spec_of(float).to_wire(0.5) == 0.5
    assert spec_of(Literal["add", "mul"]).to_wire("add") == "add"
    assert spec_of(tuple[int, ...]).to_wire((1, 2)) == [1, 2]
    assert spec_of(bool).to_wire(True) == 1


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 1.0),
        (int, True),
        (int, "1"),
        (int, 2**63),
        (float, "0.5"),
        (float, True),
        (str, 5),
        (str, "\ud800"),
        (bool, 2),
        (bool, "yes"),
        (Literal["add", "mul"], "max"),
        (tuple[int, ...], 5),
        (tuple[int, ...], "12"),
        (tuple[int, int], (1, 2, 3)),
        (tuple[int, ...], (1, 1.5)),
        (np.ndarray, object()),
        (np.ndarray, np.array(["a"])),
    ],
)
def test_wrong_values_are_refused_by_name(annotation: Any, value: Any) -> None:
    with pytest.raises(AttributeValueError, match="PK104 Owner: attribute 'a' is .*; expected"):
        spec_of(annotation).validate("Owner", value, "node 'n'")


def test_a_check_gives_the_cause() -> None:
    spec = spec_of(int, check=lambda value: "must be even" if value % 2 else None)
    assert spec.validate("Owner", 4) == 4
    with pytest.raises(AttributeValueError, match="Cause: must be even"):
        spec.validate("Owner", 3)


@pytest.mark.parametrize("wire", ["json:", "json:{", 'json:{"dtype":"int64"}', "json:nope"])
def test_damaged_text_is_refused(wire: str) -> None:
    with pytest.raises(AttributeValueError, match="damaged text form"):
        spec_of(np.ndarray).from_wire("Owner", wire)


@pytest.mark.parametrize(
    "annotation",
    [list, dict, int | str | None, tuple[int, str], tuple, Literal[1, "a"], bytes, None],
)
def test_annotations_that_cannot_travel_are_refused(annotation: Any) -> None:
    with pytest.raises(DeclarationError, match=r"PK101 Owner\.a"):
        spec_of(annotation)


def test_a_wrong_default_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"PK102 Owner\.a: default 'x'; expected int"):
        spec_of(int, default="x")


@pytest.mark.parametrize(
    ("annotation", "value", "name"),
    [
        (int | None, 3, "int | None"),
        (float | None, 0.5, "float | None"),
        (tuple[int, ...] | None, (1, 2), "tuple[int, ...] | None"),
        (Literal["a", "b"] | None, "b", "'a' | 'b' | None"),
    ],
)
def test_an_attribute_may_be_absent(annotation: Any, value: Any, name: str) -> None:
    spec = spec_of(annotation, default=None)
    assert spec.type_name == name
    assert not spec.is_required
    assert spec.validate("Owner", None) is None
    assert spec.from_wire("Owner", spec.to_wire(spec.validate("Owner", value))) == value
    with pytest.raises(AttributeValueError, match="PK104"):
        spec.validate("Owner", object())


def test_an_attribute_that_may_be_absent_is_so_by_default() -> None:
    with pytest.raises(DeclarationError, match=r"PK102 Owner\.a: default 0; expected None"):
        spec_of(int | None, default=0)
    with pytest.raises(DeclarationError, match="PK102"):
        spec_of(int | None)


def test_required_and_default() -> None:
    assert spec_of(int).is_required
    assert spec_of(int).default is REQUIRED
    assert spec_of(tuple[int, ...], default=[1, 2]).default == (1, 2)


def test_type_names() -> None:
    names = [
        spec_of(a).type_name
        for a in (int, tuple[int, ...], tuple[int, int], np.ndarray, Literal["a", "b"])
    ]
    assert names == ["int", "tuple[int, ...]", "tuple[int, int]", "numpy.ndarray", "'a' | 'b'"]


@pytest.mark.parametrize("depth", [900, 10_000, 200_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_text_that_nests_too_deeply_is_refused(depth: int, opening: str, closing: str) -> None:
    wire = "json:" + opening * depth + "1" + closing * depth
    with pytest.raises(AttributeValueError, match="PK104"):
        spec_of(tuple[int, ...], default=()).from_wire("Owner", wire)


def test_a_value_that_has_no_text_is_refused_in_words() -> None:
    with pytest.raises(AttributeValueError, match="attribute 'a' is a int; expected int"):
        spec_of(int, default=0).validate("Owner", 10**5000)


@pytest.mark.parametrize("annotation", [str, tuple[str, ...]])
def test_numpys_strings_become_pythons(annotation: Any) -> None:
    value = np.str_("x") if annotation is str else [np.str_("x")]
    checked = spec_of(annotation, default="" if annotation is str else ()).validate("Owner", value)
    assert type(checked if annotation is str else checked[0]) is str


@pytest.mark.parametrize("choices", [5, {1: 2}, [[]], [np.zeros(2)], iter("ab")])
def test_choices_are_a_sequence_of_plain_values(choices: Any) -> None:
    with pytest.raises(DeclarationError, match="PK101 choices"):
        attribute(choices=choices)


def test_an_array_has_no_choices() -> None:
    with pytest.raises(DeclarationError, match="PK101.*an array has choices"):
        spec_of(np.ndarray, choices=(1, 2))


def test_a_check_is_a_function() -> None:
    with pytest.raises(DeclarationError, match="PK101 check is 5"):
        attribute(default=0, check=5)  # type: ignore[arg-type]


def test_items_of_bools_that_are_no_numbers_are_refused() -> None:
    spec = spec_of(tuple[bool, ...], default=())
    assert spec.from_wire("Owner", [1, 0, np.int64(1), True]) == (True, False, True, True)
    for items in ([np.zeros(2)], ["1"], [[1]], [2], [None]):
        with pytest.raises(AttributeValueError, match="PK104"):
            spec.from_wire("Owner", items)
