"""Read from an engine what a manifest says otherwise: its inputs and their ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

from pluginkit.engine.plan.manifest import Range, Tensor


def described_inputs(
    trt: Any, engine: Any
) -> tuple[tuple[Tensor, ...], tuple[dict[str, Range], ...]]:
    """Return the inputs of an engine, and the ranges of each of its optimization profiles.

    Args:
        trt: TensorRT's module.
        engine: the ICudaEngine.
    """
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = tuple(
        Tensor(name, _dtype_of(trt, engine, name), tuple(engine.get_tensor_shape(name)))
        for name in names
        if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
    )
    profiles = tuple(
        {one.name: _range_of(engine, one, profile) for one in inputs}
        for profile in range(engine.num_optimization_profiles)
    )
    return inputs, profiles


def _dtype_of(trt: Any, engine: Any, name: str) -> str:
    dtype = engine.get_tensor_dtype(name)
    try:
        return str(np.dtype(trt.nptype(dtype)).name)
    except TypeError:  # numpy has none, such as bfloat16
        return str(dtype.name).lower()


def _range_of(engine: Any, tensor: Tensor, profile: int) -> Range:
    is_shape_tensor = engine.is_shape_inference_io(tensor.name)
    if is_shape_tensor:
        ranges = engine.get_tensor_profile_values(profile, tensor.name)
    else:
        ranges = engine.get_tensor_profile_shape(tensor.name, profile)
    low, opt, high = (tuple(map(int, one)) for one in ranges)
    return Range(low, opt, high, is_shape_tensor)
