import pytest

from pluginkit.engine.shape_texts import parse_shapes
from pluginkit.errors import UsageError


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
    with pytest.raises(UsageError, match="'x' twice"):
        parse_shapes(["x:1x2", "x:2x2"])


@pytest.mark.parametrize("text", ["x:4x16,2x16,8x16", "x:1x16,9x16,8x16", "x:1x1,1x1,2147483648x1"])
def test_the_three_shapes_must_be_in_order(text: str) -> None:
    with pytest.raises(UsageError, match="PK503.*axis 0"):
        parse_shapes([text])
