"""The plan of a Triton repository is built where this machine can, and only there."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pluginkit.engine.deploy import triton_plan as module
from pluginkit.engine.deploy.triton_plan import triton_plan
from pluginkit.trt.target import target_from_text


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The builds, on a machine with a GPU and TensorRT 10.16.1."""
    calls: list[dict[str, Any]] = []

    def build(model: Path, plan: Path, **options: Any) -> SimpleNamespace:
        calls.append({"model": model, **options})
        plan.write_bytes(b"a plan")
        return SimpleNamespace(plan_path=plan)

    monkeypatch.setattr(module, "find_gpu", lambda: SimpleNamespace(compute_capability=(8, 9)))
    monkeypatch.setattr(module, "installed_version", lambda name: "10.16.1.11")
    monkeypatch.setattr(module, "build_engine", build)
    return calls


def test_it_is_built_with_a_gpu_and_the_servers_tensorrt(built: list[dict[str, Any]]):
    shapes = {"x": "1x4,8x4,64x4"}
    target = target_from_text("tensorrt:10.16")
    assert triton_plan(Path("model.onnx"), shapes, target) == b"a plan"
    (call,) = built
    assert call["model"] == Path("model.onnx")
    assert call["shapes"] == shapes
    assert call["options"].flavour == "tensorrt"
    assert not call["options"].standalone  # Triton loads the library by itself


@pytest.mark.parametrize("target", ["tensorrt:11.1", "tensorrt_rtx"])
def test_another_tensorrt_builds_none(built: list[dict[str, Any]], target: str):
    assert triton_plan(Path("model.onnx"), {}, target_from_text(target)) is None
    assert not built


def test_without_a_gpu_there_is_none(built: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "find_gpu", lambda: None)
    assert triton_plan(Path("model.onnx"), {}, target_from_text("tensorrt:10.16")) is None
    assert not built
