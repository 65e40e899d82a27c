"""The text of config.pbtxt, read by protobuf as Triton publishes it."""

from typing import Any

import pytest

from pluginkit.engine.build.profiles import OptimizationProfile, ShapeRange
from pluginkit.engine.deploy.deployed_model import ModelTensor
from pluginkit.engine.deploy.triton_config import triton_config
from pluginkit.errors import UsageError

X = ModelTensor("x", "FLOAT", ("batch", 3, "h"))
Y = ModelTensor("y", "FLOAT16", ("batch", 7))


def profile(least: int, most: int) -> OptimizationProfile:
    return OptimizationProfile({"x": ShapeRange((least, 3, 1), (least, 3, 8), (most, 3, 8))})


def config_of(*arguments: Any) -> Any:
    """The configuration as Triton's clients read it, from the text that Triton reads."""
    published = pytest.importorskip(
        "tritonclient.grpc.model_config_pb2",
        reason="tritonclient, which publishes the protobuf of the configuration, is not installed",
    )
    from google.protobuf import text_format

    return text_format.Parse(triton_config("m", *arguments), published.ModelConfig())


def test_a_batch_is_joined_up_to_the_largest_profile() -> None:
    config = config_of([X], [Y], [profile(1, 4), profile(8, 32)])
    assert config.name == "m"
    assert config.platform == "tensorrt_plan"
    assert config.max_batch_size == 32
    assert config.HasField("dynamic_batching")
    (given,), (got,) = config.input, config.output
    assert (given.name, list(given.dims)) == ("x", [3, -1])
    assert (got.name, list(got.dims)) == ("y", [7])
    kinds = type(given).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_name
    assert given.data_type == kinds["TYPE_FP32"].number
    assert got.data_type == kinds["TYPE_FP16"].number
    (group,) = config.instance_group
    assert list(group.profile) == ["0", "1"]
    assert group.kind == group.KIND_GPU


@pytest.mark.parametrize(
    ("inputs", "outputs", "profiles"),
    [
        # Nodes of a graph are no samples: joining two graphs gives another result.
        ([ModelTensor("x", "FLOAT", ("nodes", 3, "h"))], [Y], [profile(1, 4)]),
        ([X], [ModelTensor("y", "FLOAT16", (7,))], [profile(1, 4)]),
        ([X, ModelTensor("w", "FLOAT", (2,))], [Y], [profile(1, 4)]),
        ([X], [Y], [profile(2, 4)]),
        ([ModelTensor("x", "FLOAT", (4, 3, 8))], [Y], [OptimizationProfile({})]),
    ],
)
def test_what_is_no_batch_of_samples_is_not_joined(
    inputs: list[ModelTensor], outputs: list[ModelTensor], profiles: list[OptimizationProfile]
) -> None:
    config = config_of(inputs, outputs, profiles)
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    for one, tensor in zip(config.input, inputs, strict=True):
        assert list(one.dims) == [dim if isinstance(dim, int) else -1 for dim in tensor.shape or ()]


def test_a_tensor_without_dimensions_is_reshaped() -> None:
    scalar = ModelTensor("s", "INT64", ())
    config = config_of([scalar], [ModelTensor("y", "BOOL", ("batch",))], [OptimizationProfile({})])
    assert list(config.input[0].dims) == [1]
    assert config.input[0].HasField("reshape")
    assert list(config.input[0].reshape.shape) == []
    batched = config_of(
        [ModelTensor("x", "INT8", ("batch",))],
        [ModelTensor("y", "BFLOAT16", ("batch",))],
        [OptimizationProfile({"x": ShapeRange((1,), (1,), (4,))})],
    )
    assert batched.max_batch_size == 4
    assert list(batched.output[0].dims) == [1]
    assert list(batched.output[0].reshape.shape) == []


def test_names_of_any_characters_survive() -> None:
    name = 'a"b\\c\nü'
    config = config_of([ModelTensor(name, "FLOAT", (1,))], [Y], [OptimizationProfile({})])
    assert config.input[0].name == name


@pytest.mark.parametrize(
    "tensor", [ModelTensor("y", "FLOAT", None), ModelTensor("y", "FLOAT8E4M3FN", (1,))]
)
def test_what_triton_cannot_have_is_refused(tensor: ModelTensor) -> None:
    with pytest.raises(UsageError) as caught:
        triton_config("m", [X], [tensor], [profile(1, 4)])
    assert caught.value.code == "PK813"
    assert "'y'" in caught.value.message
