"""What the options of a build do to TensorRT's configuration, and to the plan."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from pluginkit import BuildOptions
from pluginkit.engine.build.build_options import ResolvedOptions
from pluginkit.engine.build.builder_config import builder_config
from pluginkit.engine.parse.parse_model import parse_model
from pluginkit.engine.parse.polygraphy_backend import bind_polygraphy, captured_log
from pluginkit.trt.flavour import load_flavour
from tests.unit.onnx.precision.float_models import cnn

pytestmark = pytest.mark.trt

RTX = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=["8.9"])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "cnn.onnx"
    onnx.save(cnn(), path)
    return path


def configured(model: Path, **options: Any) -> tuple[Any, Any]:
    """TensorRT-RTX, and the configuration with which it would build."""
    flavour = load_flavour("tensorrt_rtx")
    bind_polygraphy(flavour)
    with captured_log():
        parsed = parse_model(flavour, onnx.load(model), model, [])
        resolved = ResolvedOptions(replace(RTX, **options), ((8, 9),))
        return flavour.module, builder_config(parsed, [], resolved, None)


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_switched_off(tf32: bool, model: Path) -> None:
    trt, config = configured(model, tf32=tf32)
    assert config.get_flag(trt.BuilderFlag.TF32) == tf32
