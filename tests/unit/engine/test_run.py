import dataclasses
from typing import Any

import numpy as np
import pytest

from pluginkit.engine.manifest import Manifest, Range, Tensor
from pluginkit.engine.run import check_inputs
from pluginkit.errors import UsageError

MANIFEST = Manifest(
    pluginkit="0.1.0",
    flavour="tensorrt_rtx",
    tensorrt="1.7",
    is_version_compatible=False,
    compute_capabilities=("8.9",),
    plan_bytes=0,
    plan_sha256="",
    model="model.onnx",
    model_sha256="",
    inputs=(
        Tensor("x", "float32", (-1, 4)),
        Tensor("w", "float32", (2,)),
        Tensor("shape", "int64", (2,)),
    ),
    outputs=(),
    profile={
        "x": Range((1, 4), (2, 4), (8, 4)),
        "shape": Range((1, 1), (2, 2), (3, 3), is_shape_tensor=True),
    },
    plugins=(),
)


def inputs(**changed: Any) -> dict[str, Any]:
    fitting = {
        "x": np.zeros((8, 4), np.float32),
        "w": np.zeros(2, np.float32),
        "shape": np.array([1, 3]),
    }
    return {name: value for name, value in {**fitting, **changed}.items() if value is not None}


def test_inputs_at_the_edge_of_the_profile_fit() -> None:
    check_inputs(MANIFEST, inputs())
    check_inputs(MANIFEST, inputs(x=np.zeros((1, 4), np.float32), shape=np.array([3, 1])))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"x": None}, "got inputs shape, w; the plan takes x float32\\[\\?, 4\\]"),
        ({"z": np.zeros(1)}, "got inputs shape, w, x, z"),
        ({"x": np.zeros((8, 4))}, "'x' is float64\\[8, 4\\]"),
        ({"x": np.zeros(4, np.float32)}, "'x' is float32\\[4\\]"),
        ({"x": np.zeros((9, 4), np.float32)}, "'x' is 9x4; the plan takes 1x4 to 8x4"),
        ({"x": np.zeros((0, 4), np.float32)}, "'x' is 0x4"),
        ({"x": np.zeros((8, 5), np.float32)}, "'x' is 8x5"),
        ({"w": np.zeros(3, np.float32)}, "'w' is 3; the plan takes 2 to 2"),
        ({"shape": np.array([1, 4])}, "'shape' is 1x4; the plan takes 1x1 to 3x3"),
        ({"shape": np.array([1, 1, 1])}, "'shape'"),
    ],
)
def test_what_does_not_fit_is_said(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=f"PK542 .*{said}"):
        check_inputs(MANIFEST, inputs(**changed))


def test_a_profile_of_another_rank_does_not_fit() -> None:
    manifest = dataclasses.replace(MANIFEST, profile={"x": Range((1,), (2,), (8,))})
    with pytest.raises(UsageError, match="PK542"):
        check_inputs(manifest, inputs())
