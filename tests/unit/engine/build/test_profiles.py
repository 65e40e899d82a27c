import pytest

from pluginkit.engine.build.profiles import ShapeRange, resolve_profiles
from pluginkit.errors import UsageError
from pluginkit.onnx.inference.network_inputs import NetworkInput
from pluginkit.onnx.inference.shape_ranges import ShapeSpec, text_from_shape

X = NetworkInput("x", ("n", 16))
EDGES = NetworkInput("edge_index", (2, "e"))


def test_dynamic_dimensions_have_defaults_and_say_so() -> None:
    (profile,) = resolve_profiles([X, EDGES, NetworkInput("w", (3, 4))], {})
    assert profile.ranges == {
        "x": ShapeRange((1, 16), (64, 16), (1024, 16)),
        "edge_index": ShapeRange((2, 1), (2, 64), (2, 1024)),
    }
    assert profile.defaulted == {"x", "edge_index"}


@pytest.mark.parametrize("name", ["batch", "batch_size", "N_batch", "Batch-Dim", "b", "bs"])
def test_a_batch_has_a_smaller_default(name: str) -> None:
    (profile,) = resolve_profiles([NetworkInput("x", (name, 3))], {})
    assert profile.ranges["x"] == ShapeRange((1, 3), (4, 3), (16, 3))


@pytest.mark.parametrize("name", ["batched_tokens", "", "bytes", "num_batches"])
def test_other_names_are_no_batch(name: str) -> None:
    (profile,) = resolve_profiles([NetworkInput("x", (name,))], {})
    assert profile.ranges["x"].max == (1024,)


def test_one_shape_is_all_three() -> None:
    (profile,) = resolve_profiles([X], {"x": "7x16"})
    assert profile.ranges["x"] == ShapeRange((7, 16), (7, 16), (7, 16))
    assert not profile.defaulted


def test_a_question_mark_leaves_the_dimension_to_the_model_or_the_default() -> None:
    image = NetworkInput("image", ("batch", 3, "h"))
    (profile,) = resolve_profiles([image], {"image": "?x?x32,?x?x64,?x?x128"})
    assert profile.ranges["image"] == ShapeRange((1, 3, 32), (4, 3, 64), (16, 3, 128))
    assert profile.defaulted == {"image"}


def test_equal_names_get_the_range_that_one_of_them_was_given() -> None:
    inputs = [NetworkInput("a", ("n", 2)), NetworkInput("b", (5, "n"))]
    (profile,) = resolve_profiles(inputs, {"b": "5x0,5x3,5x9"})
    assert profile.ranges["a"] == ShapeRange((0, 2), (3, 2), (9, 2))
    assert not profile.defaulted


def test_equal_names_with_two_ranges_are_an_error() -> None:
    inputs = [NetworkInput("a", ("n", 2)), NetworkInput("b", (5, "n"))]
    with pytest.raises(UsageError, match=r"PK504.*'n'.*'a'.*'b'"):
        resolve_profiles(inputs, {"a": "1x2,2x2,3x2", "b": "5x1,5x2,5x4"})


def test_an_unknown_input_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"PK501.*x\[n, 16\]") as caught:
        resolve_profiles([X, EDGES], {"edge_idx": "2x4"})
    assert caught.value.fix == "did you mean 'edge_index'?"


@pytest.mark.parametrize(
    ("spec", "said"),
    [("1x17", "axis 1.*fixes it to 16"), ("4", "rank 1"), ("1x16x1", "rank 3")],
)
def test_rank_and_static_dimensions_must_agree(spec: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"PK502.*{said}"):
        resolve_profiles([X], {"x": spec})


def test_ranges_can_be_given_as_tuples() -> None:
    given: ShapeSpec = [(1, None), (2, None), (3, None)]
    assert resolve_profiles([X], {"x": given})[0].ranges["x"] == ShapeRange(
        (1, 16), (2, 16), (3, 16)
    )


def test_a_shape_tensor_takes_values() -> None:
    shape = NetworkInput("shape", (3,), is_shape_tensor=True)
    (profile,) = resolve_profiles([shape], {"shape": "1x1x8,2x2x8,4x4x8"})
    assert profile.ranges["shape"] == ShapeRange((1, 1, 8), (2, 2, 8), (4, 4, 8))


def test_a_shape_tensor_without_values_says_how_many_it_takes() -> None:
    with pytest.raises(UsageError, match="PK505") as caught:
        resolve_profiles([NetworkInput("shape", (3,), is_shape_tensor=True)], {})
    assert "3 values" in str(caught.value.fix)


def test_a_shape_tensor_with_too_few_values_is_an_error() -> None:
    with pytest.raises(UsageError, match="PK502.*2 values; expected 3"):
        resolve_profiles([NetworkInput("s", (3,), is_shape_tensor=True)], {"s": "1x1,2x2,4x4"})


def test_shapes_as_text() -> None:
    assert text_from_shape((1, None, 16)) == "1x?x16"
    assert text_from_shape(()) == "scalar"


def test_each_range_between_slashes_is_of_a_profile_of_its_own() -> None:
    shapes = {"x": "1x16/1x16,8x16,64x16", "edge_index": "2x7"}
    one, two = resolve_profiles([X, EDGES], shapes)
    assert one.ranges["x"] == ShapeRange((1, 16), (1, 16), (1, 16))
    assert two.ranges["x"] == ShapeRange((1, 16), (8, 16), (64, 16))
    assert one.ranges["edge_index"] == two.ranges["edge_index"] == ShapeRange(*[(2, 7)] * 3)


def test_names_are_equal_within_a_profile() -> None:
    inputs = [NetworkInput("a", ("n", 2)), NetworkInput("b", ("n", 3))]
    one, two = resolve_profiles(inputs, {"a": "1x2/2x2,4x2,8x2"})
    assert one.ranges["b"] == ShapeRange((1, 3), (1, 3), (1, 3))
    assert two.ranges["b"] == ShapeRange((2, 3), (4, 3), (8, 3))


def test_inputs_must_agree_on_the_number_of_profiles() -> None:
    with pytest.raises(UsageError, match="PK500 'edge_index' has 2 ranges and 'x' has 3"):
        resolve_profiles([X, EDGES], {"x": "1x16/2x16/3x16", "edge_index": "2x1/2x2"})


def test_an_input_without_dynamic_dimensions_makes_no_profiles() -> None:
    inputs = [X, NetworkInput("w", (3, 4))]
    assert len(resolve_profiles(inputs, {"x": "1x16/2x16", "w": "3x4"})) == 2
    with pytest.raises(UsageError, match=r"PK500 'w' has 2 ranges; expected one.*w\[3, 4\]"):
        resolve_profiles(inputs, {"w": "3x4/3x4"})


def test_an_error_names_its_profile() -> None:
    with pytest.raises(UsageError, match="PK502") as caught:
        resolve_profiles([X], {"x": "1x16/2x17"})
    assert caught.value.where == "optimization profile 1"


def test_shapes_are_given_by_input() -> None:
    with pytest.raises(UsageError, match="PK500 shapes is 'x:1x8'; expected a range for each"):
        resolve_profiles([X], "x:1x8")  # type: ignore[arg-type]


def test_a_product_agrees_with_its_factor() -> None:
    inputs = [NetworkInput("x", ("2*n", 4)), NetworkInput("i", ("n", 4))]
    (profile,) = resolve_profiles(inputs, {})
    assert [shape[0] for shape in profile.ranges["i"]] == [1, 64, 1024]
    assert [shape[0] for shape in profile.ranges["x"]] == [2, 128, 2048]
    (profile,) = resolve_profiles(inputs, {"i": "3x4,5x4,7x4"})
    assert [shape[0] for shape in profile.ranges["x"]] == [6, 10, 14]
    assert profile.defaulted == frozenset()
    (profile,) = resolve_profiles(inputs, {"x": "6x4,10x4,14x4"})
    assert [shape[0] for shape in profile.ranges["i"]] == [3, 5, 7]
    assert profile.defaulted == frozenset()


def test_a_product_that_contradicts_its_factor_is_refused() -> None:
    inputs = [NetworkInput("x", ("2*n", 4)), NetworkInput("i", ("n", 4))]
    with pytest.raises(UsageError, match=r"PK504 dimension '2\*n' is \(6, 6, 6\) in 'x'") as caught:
        resolve_profiles(inputs, {"x": "6x4", "i": "4x4"})
    assert "expected (8, 8, 8), since 'n' is (4, 4, 4)" in str(caught.value)


def test_a_sum_is_partly_a_default() -> None:
    inputs = [NetworkInput("mask", ("past + seq",)), NetworkInput("x", ("seq",))]
    (profile,) = resolve_profiles(inputs, {"x": "4"})
    assert profile.ranges["mask"] == ShapeRange((5,), (68,), (1028,))
    assert profile.defaulted == {"mask"}


def test_a_shape_tensor_without_values_shows_an_option_that_can_be_given() -> None:
    size = NetworkInput("size", (2,), is_shape_tensor=True)
    with pytest.raises(UsageError, match="PK505") as caught:
        resolve_profiles([size], {})
    assert "--shapes size:1x1,8x8,64x64" in str(caught.value.fix)
    (profile,) = resolve_profiles([size], {"size": "1x1,8x8,64x64"})
    assert profile.ranges["size"] == ShapeRange((1, 1), (8, 8), (64, 64))
