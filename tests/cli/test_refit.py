"""``pluginkit refit``: on a CPU up to the manifest and the GPU, and with a stand-in engine."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

from pluginkit.cli.main import main
from pluginkit.device.gpus import Gpu
from pluginkit.engine.plan import open_engine
from pluginkit.engine.plan import refit_plan as refit_module
from pluginkit.engine.plan.refit_plan import refitted
from pluginkit.errors import PlanError
from tests.unit.onnx.precision.float_models import cnn

pytestmark = pytest.mark.trt

Capture = pytest.CaptureFixture[str]
RTX = ("--tensorrt", "tensorrt_rtx")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    onnx.save(cnn(), tmp_path / "cnn.onnx")
    argv = ["build", str(tmp_path / "cnn.onnx"), "--compute-capability", "8.9"]
    assert main([*argv, *RTX]) == 0
    return tmp_path / "cnn.plan"


class StandIn:
    """Plays the parts of TensorRT's module, engine, Refitter and OnnxParserRefitter."""

    SerializationFlag = SimpleNamespace(INCLUDE_REFIT="include_refit")

    def __init__(self, weights: list[str]) -> None:
        self.refittable = True
        self.missing: list[str] = []
        self.parses = self.refits = True
        self.flags: list[str] = []
        self.got: dict[str, float] = {}
        self._weights = weights
        self.num_errors = 1

    def Refitter(self, engine: Any, logger: Any) -> Any:  # noqa: N802 TensorRT's name
        assert engine is self
        return self

    OnnxParserRefitter = Refitter

    def refit_from_bytes(self, content: bytes, path: str) -> bool:
        graph = onnx.ModelProto.FromString(content).graph
        self.got = {t.name: float(numpy_helper.to_array(t).flat[0]) for t in graph.initializer}
        return self.parses and {*self._weights} <= {*self.got}

    def get_error(self, index: int) -> Any:
        return SimpleNamespace(desc=lambda: "no weights of that name")

    def get_missing_weights(self) -> list[str]:
        return self.missing

    def refit_cuda_engine(self) -> bool:
        return self.refits

    def create_serialization_config(self) -> Any:
        return SimpleNamespace(set_flag=self.flags.append)

    def serialize_with_config(self, config: Any) -> bytes:
        return json.dumps(self.got).encode()


def test_a_machine_without_a_gpu_is_refused_first(
    plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(open_engine, "find_gpu", lambda: None)
    model = plan.with_suffix(".onnx")
    capsys.readouterr()
    assert main(["refit", str(plan), "--weights", str(model)]) == 2
    printed = capsys.readouterr().err
    assert "PK540 refitting" in printed
    assert not plan.with_suffix(".refitted.plan").exists()
    plan.write_bytes(b"another")
    assert main(["refit", str(plan), "--weights", str(model)]) == 2
    assert "PK533" in capsys.readouterr().err


def test_a_plan_gets_weights_and_a_manifest_that_fits(
    plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_engine, "find_gpu", lambda: Gpu("NVIDIA L4", (8, 9), 2**34))
    engine = StandIn(["w1", "b1"])
    monkeypatch.setattr(refit_module, "load_engine", lambda *args: engine)
    monkeypatch.setattr(refit_module, "refitted", lambda trt, *args: refitted(engine, *args))
    model = cnn()
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(0 * numpy_helper.to_array(model.graph.initializer[0]) + 2, "w1")
    )
    new = plan.with_name("new.onnx")
    onnx.save(model, new)
    assert main(["refit", str(plan), "--weights", str(new)]) == 0
    made = plan.with_suffix(".refitted.plan")
    assert json.loads(made.read_bytes())["w1"] == 2
    assert engine.flags == ["include_refit"]
    manifest = json.loads((plan.parent / "cnn.refitted.plan.json").read_text())
    assert manifest["model"] == "new.onnx"
    assert manifest["plan_bytes"] == made.stat().st_size
    before = json.loads((plan.parent / "cnn.plan.json").read_text())
    assert manifest["plan_sha256"] != before["plan_sha256"]
    assert manifest["inputs"] == before["inputs"]


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"refittable": False}, "without --refit"),
        ({"parses": False}, "no weights of that name"),
        ({"missing": ["b1", "a1"]}, "the model lacks a1, b1"),
        ({"refits": False}, "logged before"),
    ],
)
def test_what_does_not_fit_is_named(changed: dict[str, Any], cause: str) -> None:
    engine = StandIn(["w1"])
    vars(engine).update(changed)
    content = cnn().SerializeToString()
    with pytest.raises(PlanError) as caught:
        refitted(engine, engine, content, Path("new.onnx"), ["logged before"])
    assert caught.value.code == "PK544"
    assert cause in str(caught.value.cause)
