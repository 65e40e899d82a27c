import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pluginkit.engine.plan.engine_inputs import described_inputs
from pluginkit.engine.plan.fitting_profile import fitting_profile
from pluginkit.engine.plan.manifest import Manifest, Range, Tensor
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
    assert fitting_profile(MANIFEST.inputs, MANIFEST.profiles, inputs()) == 0
    smallest = inputs(x=np.zeros((1, 4), np.float32), shape=np.array([3, 1]))
    assert fitting_profile(MANIFEST.inputs, MANIFEST.profiles, smallest) == 0


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
        fitting_profile(MANIFEST.inputs, MANIFEST.profiles, inputs(**changed))


def test_a_profile_of_another_rank_does_not_fit() -> None:
    manifest = dataclasses.replace(MANIFEST, profiles=({"x": Range((1,), (2,), (8,))},))
    with pytest.raises(UsageError, match="PK542"):
        fitting_profile(manifest.inputs, manifest.profiles, inputs())


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
    assert (
        fitting_profile(SEVERAL.inputs, SEVERAL.profiles, {"x": np.zeros((rows, 4), np.float32)})
        == profile
    )


def test_what_fits_none_of_several_profiles_is_said_for_each() -> None:
    with pytest.raises(UsageError, match="PK542 the inputs fit none of the plan's 3") as caught:
        fitting_profile(SEVERAL.inputs, SEVERAL.profiles, {"x": np.zeros((65, 4), np.float32)})
    assert caught.value.cause.splitlines() == [
        "profile 0: input 'x' is 65x4; the plan takes 1x4 to 1x4",
        "profile 1: input 'x' is 65x4; the plan takes 1x4 to 16x4",
        "profile 2: input 'x' is 65x4; the plan takes 16x4 to 64x4",
    ]


class SomeEngine:
    """What an ICudaEngine of MANIFEST's plan says of itself."""

    num_io_tensors, num_optimization_profiles = 4, 1
    names = ("x", "w", "shape", "y")

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> str:
        return "out" if name == "y" else "in"

    def get_tensor_dtype(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name="INT64" if name == "shape" else "FLOAT")

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return {one.name: one.shape for one in MANIFEST.inputs}[name]

    def is_shape_inference_io(self, name: str) -> bool:
        return name == "shape"

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        shape = self.get_tensor_shape(name)
        found = MANIFEST.profiles[profile].get(name, Range(shape, shape, shape))
        return [found.min, found.opt, found.max]

    def get_tensor_profile_values(self, profile: int, name: str) -> list[tuple[int, ...]]:
        return self.get_tensor_profile_shape(name, profile)


def test_an_engine_says_what_a_manifest_does():
    dtypes = {"INT64": np.int64, "FLOAT": np.float32}
    trt = SimpleNamespace(
        TensorIOMode=SimpleNamespace(INPUT="in"), nptype=lambda dtype: dtypes[dtype.name]
    )
    tensors, profiles = described_inputs(trt, SomeEngine())
    assert tensors == MANIFEST.inputs
    assert fitting_profile(tensors, profiles, inputs()) == 0
    with pytest.raises(UsageError, match="the plan takes 1x4 to 8x4"):
        fitting_profile(tensors, profiles, inputs(x=np.zeros((9, 4), np.float32)))
