"""Operators in forms that converters other than torch's write, as nodes of ONNX, for exports.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Written = Callable[[Path], tuple[dict[str, Any], dict[str, Any]]]
_random = np.random.default_rng(0)
_NO_REGION = {"roi": np.zeros(0, np.float32)}
_NO_SCALES = {**_NO_REGION, "scales": np.zeros(0, np.float32)}


def forms() -> dict[str, Written]:
    """Return what writes each model and returns its inputs and its description."""
    image, small = _normal(1, 3, 9, 8), _normal(2, 3, 8, 4)
    pixels = _random.integers(0, 256, (1, 3, 17, 13)).astype(np.uint8)
    counts = _random.integers(-9, 9, (3, 4))
    return {
        "resize_half_pixels": _form(
            *("Resize", 11, image, {**_NO_SCALES, "sizes": _sizes(1, 3, 14, 5)}),
            coordinate_transformation_mode="tf_half_pixel_for_nn",
            nearest_mode="ceil",
        ),
        "resize_crop": _form(
            *("Resize", 13, image, {"roi": _floats(0, 0, 0.1, -0.2, 1, 1, 0.8, 1.3)}),
            scales=_floats(1, 1, 0.8, 0.6),
            mode="linear",
            coordinate_transformation_mode="tf_crop_and_resize",
            extrapolation_value=7.5,
        ),
        "resize_bytes": _form(
            *("Resize", 11, pixels, {**_NO_SCALES, "sizes": _sizes(1, 3, 8, 20)}), mode="linear"
        ),
        "resize_bytes_smoothly": _form(
            *("Resize", 19, pixels, {"roi": None, "scales": None, "sizes": _sizes(7, 20)}),
            axes=[2, 3],
            mode="cubic",
            antialias=1,
        ),
        "resize_integers": _form(
            *("Resize", 13, counts[None, None].astype(np.int32), {"roi": None}),
            scales=_floats(1, 1, 2, 1.5),
        ),
        "resize_last_axes": _form(
            *("Resize", 18, small, {"roi": None, "scales": None, "sizes": _sizes(13, 10)}),
            axes=[2, 3],
            mode="linear",
            dynamic=(0,),
        ),
        "upsample_integers": _form(
            *("Upsample", 9, counts[None, None].astype(np.int32), {"scales": _floats(1, 1, 2, 3)}),
            mode="linear",
        ),
        "lstm_with_coupled_gates": _form("LSTM", 14, _normal(5, 3, 4), _lstm(), **_COUPLED),
        "gru_of_halves_and_lengths": _form(
            *("GRU", 14, _normal(5, 3, 4).astype(np.float16), _gru_of_halves()), hidden_size=6
        ),
        "relu_of_integers": _form("Relu", 18, counts.astype(np.int32), {}),
        "prelu_of_integers": _form("PRelu", 18, counts, {"slope": np.array([2, 3, 4, 5])}),
        "lengths_of_integers": _form("ReduceL2", 13, counts, {}, axes=[1], keepdims=0),
    }


_COUPLED = {"hidden_size": 6, "input_forget": 1, "clip": 1.5}


def _lstm() -> dict[str, Any]:
    return {"w": _normal(1, 24, 4), "r": _normal(1, 24, 6), "b": _normal(1, 48)}


def _gru_of_halves() -> dict[str, Any]:
    weights = {"w": _normal(1, 18, 4), "r": _normal(1, 18, 6), "b": _normal(1, 36)}
    halves = {name: array.astype(np.float16) for name, array in weights.items()}
    return {**halves, "lengths": np.array([5, 2, 3], np.int32)}


def _normal(*shape: int) -> Any:
    return _random.standard_normal(shape).astype(np.float32)


def _floats(*values: float) -> Any:
    return np.array(values, np.float32)


def _sizes(*values: int) -> Any:
    return np.array(values)


def _form(
    op_type: str,
    opset: int,
    x: Any,
    stored: Mapping[str, Any],
    *,
    scales: Any = None,
    dynamic: tuple[int, ...] = (),
    **attributes: Any,
) -> Written:
    """Return what writes a model of one node that reads x and stored tensors."""
    stored = dict(stored) if scales is None else {**stored, "scales": scales}

    def write(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        names = ["x", *(name if array is not None else "" for name, array in stored.items())]
        node = helper.make_node(op_type, names, ["y"], **attributes)
        dims = [f"n{axis}" if axis in dynamic else size for axis, size in enumerate(x.shape)]
        elem_type = helper.np_dtype_to_tensor_dtype(x.dtype)
        graph = helper.make_graph(
            [node],
            "form",
            [helper.make_tensor_value_info("x", elem_type, dims)],
            [onnx.ValueInfoProto(name="y")],
            [numpy_helper.from_array(each, name) for name, each in stored.items() if name in names],
        )
        made = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
        )
        onnx.save(onnx.shape_inference.infer_shapes(made), path)
        ranges = [
            (max(n // 2, 1), n, 4 * n) if at in dynamic else (n,) * 3
            for at, n in enumerate(x.shape)
        ]
        shape = ",".join("x".join(map(str, sizes)) for sizes in zip(*ranges, strict=True))
        description = {"exporter": "onnx", "opset": opset, "is_random": False}
        return {"x": x}, description | {"shapes": {"x": shape} if dynamic else {}}

    return write
