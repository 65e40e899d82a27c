import pytest

from pluginkit.engine.profiles import (
    NetworkInput,
    ShapeRange,
    ShapeSpec,
    parse_shapes,
    resolve_profile,
    text_from_shape,
)
from pluginkit.errors import UsageError

X = NetworkInput("x", ("n", 16))
EDGES = NetworkInput("edge_index", (2, "e"))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["x:1x16,64x16,1024x16"], {"x": "1x16,64x16,1024x16"}),
        (["x:64x16", "y:2"], {"x": "64x16", "y": "2"}),
        (["input:0:1x?,2x?,4x?"], {"input:0": "1x?,2x?,4x?"}),
        ([], {}),
    ],
)
def test_the_last_colon_ends_the_name(texts: list[str], expected: dict[str, str]) -> None:
    assert parse_shapes(texts) == expected


@pytest.mark.parametrize(
    "text",
    ["x", ":1x2", "x:", "x:1x2,3x4", "x:1,2x3,4x5", "x:1xx2", "x:-1x2", "x:1x2.5", "x:ax2",
     "x:1x2,3x4,5x6,7x8", "x:?x2,4x2,8x2", "x:\u0661x2"],
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


def test_dynamic_dimensions_have_defaults_and_say_so() -> None:
    profile = resolve_profile([X, EDGES, NetworkInput("w", (3, 4))], {})
    assert profile.ranges == {
        "x": ShapeRange((1, 16), (64, 16), (1024, 16)),
        "edge_index": ShapeRange((2, 1), (2, 64), (2, 1024)),
    }
    assert profile.defaulted == {"x", "edge_index"}


@pytest.mark.parametrize("name", ["batch", "batch_size", "N_batch", "Batch-Dim", "b", "bs"])
def test_a_batch_has_a_smaller_default(name: str) -> None:
    profile = resolve_profile([NetworkInput("x", (name, 3))], {})
    assert profile.ranges["x"] == ShapeRange((1, 3), (4, 3), (16, 3))


@pytest.mark.parametrize("name", ["batched_tokens", "", "bytes", "num_batches"])
def test_other_names_are_no_batch(name: str) -> None:
    profile = resolve_profile([NetworkInput("x", (name,))], {})
    assert profile.ranges["x"].max == (1024,)


def test_one_shape_stands_for_all_three() -> None:
    profile = resolve_profile([X], {"x": "7x16"})
    assert profile.ranges["x"] == ShapeRange((7, 16), (7, 16), (7, 16))
    assert not profile.defaulted


def test_a_question_mark_leaves_the_dimension_to_the_model_or_the_default() -> None:
    image = NetworkInput("image", ("batch", 3, "h"))
    profile = resolve_profile([image], {"image": "?x?x32,?x?x64,?x?x128"})
    assert profile.ranges["image"] == ShapeRange((1, 3, 32), (4, 3, 64), (16, 3, 128))
    assert profile.defaulted == {"image"}


def test_equal_names_get_the_range_that_one_of_them_was_given() -> None:
    inputs = [NetworkInput("a", ("n", 2)), NetworkInput("b", (5, "n"))]
    profile = resolve_profile(inputs, {"b": "5x0,5x3,5x9"})
    assert profile.ranges["a"] == ShapeRange((0, 2), (3, 2), (9, 2))
    assert not profile.defaulted


def test_equal_names_with_two_ranges_are_an_error() -> None:
    inputs = [NetworkInput("a", ("n", 2)), NetworkInput("b", (5, "n"))]
    with pytest.raises(UsageError, match=r"PK504.*'n'.*'a'.*'b'"):
        resolve_profile(inputs, {"a": "1x2,2x2,3x2", "b": "5x1,5x2,5x4"})


def test_an_unknown_input_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"PK501.*x\[n, 16\]") as caught:
        resolve_profile([X, EDGES], {"edge_idx": "2x4"})
    assert caught.value.fix == "did you mean 'edge_index'?"


@pytest.mark.parametrize(
    ("spec", "said"),
    [("1x17", "axis 1.*fixes it to 16"), ("4", "rank 1"), ("1x16x1", "rank 3")],
)
def test_rank_and_static_dimensions_must_agree(spec: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"PK502.*{said}"):
        resolve_profile([X], {"x": spec})


def test_ranges_can_be_given_as_tuples() -> None:
    given: ShapeSpec = [(1, None), (2, None), (3, None)]
    assert resolve_profile([X], {"x": given}).ranges["x"] == ShapeRange((1, 16), (2, 16), (3, 16))


def test_a_shape_tensor_takes_values() -> None:
    shape = NetworkInput("shape", (3,), is_shape_tensor=True)
    profile = resolve_profile([shape], {"shape": "1x1x8,2x2x8,4x4x8"})
    assert profile.ranges["shape"] == ShapeRange((1, 1, 8), (2, 2, 8), (4, 4, 8))


def test_a_shape_tensor_without_values_says_how_many_it_takes() -> None:
    with pytest.raises(UsageError, match="PK505") as caught:
        resolve_profile([NetworkInput("shape", (3,), is_shape_tensor=True)], {})
    assert "3 values" in str(caught.value.fix)


def test_a_shape_tensor_with_too_few_values_is_an_error() -> None:
    with pytest.raises(UsageError, match="PK502.*2 values; expected 3"):
        resolve_profile([NetworkInput("s", (3,), is_shape_tensor=True)], {"s": "1x1,2x2,4x4"})


def test_shapes_as_text() -> None:
    assert text_from_shape((1, None, 16)) == "1x?x16"
    assert text_from_shape(()) == "scalar"
