import dataclasses
from typing import Any

import numpy as np
import pytest

from pluginkit.engine.plan.manifest import Manifest, Range, Tensor
from pluginkit.engine.plan.run_engine import fitting_profile
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
    profiles=(
        {
            "x": Range((1, 4), (2, 4), (8, 4)),
            "shape": Range((1, 1), (2, 2), (3, 3), is_shape_tensor=True),
        },
    ),
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
    assert fitting_profile(MANIFEST, inputs()) == 0
    smallest = inputs(x=np.zeros((1, 4), np.float32), shape=np.array([3, 1]))
    assert fitting_profile(MANIFEST, smallest) == 0


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
        fitting_profile(MANIFEST, inputs(**changed))


def test_a_profile_of_another_rank_does_not_fit() -> None:
    manifest = dataclasses.replace(MANIFEST, profiles=({"x": Range((1,), (2,), (8,))},))
    with pytest.raises(UsageError, match="PK542"):
        fitting_profile(manifest, inputs())


SEVERAL = dataclasses.replace(
    MANIFEST,
    inputs=MANIFEST.inputs[:1],
    profiles=(
        {"x": Range((1, 4), (1, 4), (1, 4))},
        {"x": Range((1, 4), (8, 4), (16, 4))},
        {"x": Range((16, 4), (32, 4), (64, 4))},
    ),
)


@pytest.mark.parametrize(("rows", "profile"), [(1, 0), (2, 1), (16, 1), (17, 2), (64, 2)])
def test_of_several_profiles_the_first_that_fits_is_taken(rows: int, profile: int) -> None:
    assert fitting_profile(SEVERAL, {"x": np.zeros((rows, 4), np.float32)}) == profile


def test_what_fits_none_of_several_profiles_is_said_for_each() -> None:
    with pytest.raises(UsageError, match="PK542 the inputs fit none of the plan's 3") as caught:
        fitting_profile(SEVERAL, {"x": np.zeros((65, 4), np.float32)})
    assert caught.value.cause.splitlines() == [
        "profile 0: input 'x' is 65x4; the plan takes 1x4 to 1x4",
        "profile 1: input 'x' is 65x4; the plan takes 1x4 to 16x4",
        "profile 2: input 'x' is 65x4; the plan takes 16x4 to 64x4",
    ]
