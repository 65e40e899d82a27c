"""Write the ``config.pbtxt`` of a model for Triton Inference Server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pluginkit.engine.build.profiles import OptimizationProfile, is_batch_name
from pluginkit.engine.deploy.deployed_model import ModelTensor
from pluginkit.errors import UsageError

_TYPES = {
    "FLOAT": "TYPE_FP32",
    "FLOAT16": "TYPE_FP16",
    "BFLOAT16": "TYPE_BF16",
    "INT8": "TYPE_INT8",
    "INT32": "TYPE_INT32",
    "INT64": "TYPE_INT64",
    "UINT8": "TYPE_UINT8",
    "BOOL": "TYPE_BOOL",
}


def triton_config(
    name: str,
    inputs: Sequence[ModelTensor],
    outputs: Sequence[ModelTensor],
    profiles: Sequence[OptimizationProfile],
) -> str:
    """Return the configuration of a plan.

    Triton may join requests along the first dimension only where it is a batch of independent
    samples: where every input and output calls it one, and a profile begins at one sample.

    Args:
        name: the model's name, that of its folder.
        inputs: those of the plan.
        outputs: those of the plan.
        profiles: its optimization profiles.

    Errors:
        PK813: a tensor has a rank that is not known, or a type that Triton does not have.
    """
    for one in (*inputs, *outputs):
        _check(one)
    largest = _largest_batch(inputs, outputs, profiles)
    lines = [f"name: {_quoted(name)}", 'platform: "tensorrt_plan"', f"max_batch_size: {largest}"]
    for field, tensors in (("input", inputs), ("output", outputs)):
        for one in tensors:
            lines += _tensor_lines(field, one, has_batch=largest > 0)
    if largest > 0:
        lines.append("dynamic_batching { }")
    lines += ["instance_group [", "  {", "    count: 1", "    kind: KIND_GPU"]
    if len(profiles) > 1:
        numbers = ", ".join(f'"{number}"' for number in range(len(profiles)))
        lines.append(f"    profile: [ {numbers} ]")
    return "\n".join([*lines, "  }", "]", ""])


def _check(tensor: ModelTensor) -> None:
    if tensor.shape is None:
        raise UsageError(
            "PK813",
            f"'{tensor.name}' has no shape in the model; expected one, for Triton's configuration.",
            fix="give it a shape in the model; names of dimensions are enough.",
        )
    if tensor.dtype not in _TYPES:
        raise UsageError(
            "PK813",
            f"'{tensor.name}' is {tensor.dtype}; Triton's TensorRT backend takes one of "
            f"{', '.join(_TYPES)}.",
            fix="cast it inside the model.",
        )


def _largest_batch(
    inputs: Sequence[ModelTensor],
    outputs: Sequence[ModelTensor],
    profiles: Sequence[OptimizationProfile],
) -> int:
    """Return the most samples in a batch; 0 where the first dimension is no batch."""
    if not inputs or not profiles:
        return 0
    if not all(one.shape and is_batch_name(one.shape[0]) for one in (*inputs, *outputs)):
        return 0
    ranges = [profile.ranges[one.name] for profile in profiles for one in inputs]
    if min(one.min[0] for one in ranges) > 1:
        return 0
    return min(max(profile.ranges[one.name].max[0] for profile in profiles) for one in inputs)


def _tensor_lines(field: str, tensor: ModelTensor, *, has_batch: bool) -> Iterator[str]:
    sizes = [dim if isinstance(dim, int) else -1 for dim in tensor.shape or ()][int(has_batch) :]
    yield f"{field} ["
    yield "  {"
    yield f"    name: {_quoted(tensor.name)}"
    yield f"    data_type: {_TYPES[tensor.dtype]}"
    yield f"    dims: [ {', '.join(map(str, sizes)) or '1'} ]"
    if not sizes:  # Triton has no tensors without dimensions
        yield "    reshape { shape: [ ] }"
    yield "  }"
    yield "]"


def _quoted(text: str) -> str:
    """Return a text in the syntax of protobuf's text format."""
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{escaped}"'
