from typing import Any

import numpy as np
import pytest

from pluginkit.errors import UsageError
from pluginkit.onnx.inference.shape_ranges import parse_ranges, parse_shapes


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["x:1x16,64x16,1024x16"], {"x": "1x16,64x16,1024x16"}),
        (["x:64x16", "y:2"], {"x": "64x16", "y": "2"}),
        (["input:0:1x?,2x?,4x?"], {"input:0": "1x?,2x?,4x?"}),
        (["x:1x2/3x2,4x2,5x2"], {"x": "1x2/3x2,4x2,5x2"}),
        ([], {}),
    ],
)
def test_the_last_colon_ends_the_name(texts: list[str], expected: dict[str, str]) -> None:
    assert parse_shapes(texts) == expected


@pytest.mark.parametrize(
    "text",
    ["x", ":1x2", "x:", "x:1x2,3x4", "x:1,2x3,4x5", "x:1xx2", "x:-1x2", "x:1x2.5", "x:ax2",
     "x:1x2,3x4,5x6,7x8", "x:1x2/", "x:/1x2", "x:1x2//1x2", "x:?x2,4x2,8x2", "x:\u0661x2"],
)  # fmt: skip
def test_what_cannot_be_read_says_how_to_write_it(text: str) -> None:
    with pytest.raises(UsageError, match="PK500") as caught:
        parse_shapes([text])
    assert "--shapes x:1x16" in str(caught.value.fix)


def test_one_input_twice_is_an_error() -> None:
    with pytest.raises(UsageError, match="'x' is given shapes twice"):
        parse_shapes(["x:1x2", "x:2x2"])


@pytest.mark.parametrize("text", ["x:4x16,2x16,8x16", "x:1x16,9x16,8x16", "x:1x1,1x1,2147483648x1"])
def test_the_three_shapes_must_be_in_order(text: str) -> None:
    with pytest.raises(UsageError, match="PK503.*axis 0"):
        parse_shapes([text])


def test_inputs_have_as_many_ranges_as_each_other_or_one() -> None:
    assert parse_shapes(["x:1/2", "y:1", "z:3/4"]) == {"x": "1/2", "y": "1", "z": "3/4"}
    with pytest.raises(UsageError, match="PK500 'y' has 2 ranges and 'x' has 3"):
        parse_shapes(["x:1/2/3", "y:1/2", "z:1"])


ONE = ((1, 4), (2, 4), (8, 4))
TWO = ((1, None), (2, None), (3, None))


@pytest.mark.parametrize(
    ("spec", "ranges"),
    [
        ("1x4,2x4,8x4/1x?,2x?,3x?", [ONE, TWO]),
        (["1x4,2x4,8x4", "1x?,2x?,3x?"], [ONE, TWO]),
        (ONE, [ONE]),
        ([ONE], [ONE]),
        ([ONE, list(TWO)], [ONE, TWO]),
        ([ONE, TWO, ONE], [ONE, TWO, ONE]),
        ([(1, 4)], [((1, 4),) * 3]),
        (np.array(ONE), [ONE]),
        ([(), (), ()], [((), (), ())]),
    ],
)
def test_ranges_are_texts_or_shapes(spec: Any, ranges: Any) -> None:
    assert parse_ranges("x", spec) == ranges


@pytest.mark.parametrize(
    "spec",
    [5, None, [1, 16], [(1.5, 16)] * 3, [("1", 16)] * 3, [], [ONE, 5], [(1, 4), (2, 4)], [[ONE]],
     ["1x4", 5], ["1x4/2x4"], {"x": 1}],
)  # fmt: skip
def test_what_is_no_range_is_said(spec: Any) -> None:
    with pytest.raises(UsageError, match="PK500 shapes 'x:"):
        parse_ranges("x", spec)
