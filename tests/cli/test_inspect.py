"""``pluginkit inspect``: the manifest, the plugins that are here, and a stand-in's layers."""

import dataclasses
import json
import platform
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pluginkit.cli.main import main
from pluginkit.device.gpus import Gpu
from pluginkit.discovery import find_plugins
from pluginkit.engine.build.model_plugins import source_sha256
from pluginkit.engine.plan import open_engine, plan_contents
from pluginkit.engine.plan.library_record import LibraryRecord
from pluginkit.engine.plan.manifest import Manifest, PluginRecord, manifest_path
from pluginkit.engine.plan.plan_contents import layers_of
from pluginkit.trt.flavour import load_flavour
from tests.unit.engine.plan.test_check_manifest import MANIFEST, save

Capture = pytest.CaptureFixture[str]

KEY = ("CircPad_PK", "1", "pluginkit")
LIBRARY = LibraryRecord(
    sha256="c" * 64,
    bytes=2048,
    tensorrt="rtx",
    arch=platform.machine(),
    compiler="13.3",
    cuda="13.0",
    compute_capabilities=("8.6", "8.9"),
    kernels=3,
    kernel_bytes=512,
    sources={},
    variants=(),
    proved_calls=1,
)


def with_plugin(source: str = "", key: tuple[str, str, str] = KEY, **changed: Any) -> Manifest:
    record = PluginRecord(*key, "v3", "some.where:CircPad", source, ())
    return dataclasses.replace(MANIFEST, plugins=(record,), **changed)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return tmp_path / "model.plan"


def here(plan: Path, capsys: Capture) -> dict[str, Any]:
    assert main(["inspect", str(plan), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found: dict[str, Any] = document["plugins"][0]["here"]
    return found


def test_what_the_manifest_says_is_printed(plan: Path, capsys: Capture) -> None:
    save(plan, MANIFEST)
    assert main(["inspect", str(plan)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert f"{plan}: 400 bytes, built from model.onnx with pluginkit 0.1.0" in lines
    assert "Needs tensorrt_rtx 1.7.1.116, and a GPU of compute capability 8.6 or 8.9." in lines
    assert "x input float32 ?x4" in lines
    assert "0 x 1x4 2x4 8x4" in lines
    assert "Plugin Scale_PK, version 1, namespace 'pluginkit', interface v3, 1 node" in lines
    assert "built from plugins.scale:Scale, source abc" in lines
    assert "loads here: no: it is not there" in lines


def test_a_plugin_that_is_here_is_told_from_changed_and_missing_ones(
    plan: Path, capsys: Capture
) -> None:
    plugin = find_plugins()[KEY]
    save(plan, with_plugin(source_sha256(plugin)))
    same = here(plan, capsys)
    assert same["state"] == "same"
    assert Path(same["file"]).parent.name == "circ_pad"
    save(plan, with_plugin("another"))
    assert here(plan, capsys)["state"] == "changed"
    save(plan, with_plugin(key=("CircPad_PK", "2", "pluginkit")))
    missing = here(plan, capsys)
    assert (missing["state"], missing["text"]) == ("missing", "no: version 1 is there")
    assert missing["file"] is None


def test_a_variant_with_scratch_memory_is_here(plan: Path, capsys: Capture) -> None:
    plugin = find_plugins()["GridSample_PK", "1", "pluginkit"]
    save(plan, with_plugin(source_sha256(plugin), ("GridSample_PK_Scratch", "1", "pluginkit")))
    assert here(plan, capsys)["state"] == "same"


@pytest.mark.parametrize(
    ("arch", "state"), [(LIBRARY.arch, "in the plan"), ("s390x", "other processor")]
)
def test_a_plan_with_a_library_needs_no_python_plugin(
    arch: str, state: str, plan: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("pluginkit.discovery.find_plugins")
    save(plan, with_plugin(library=dataclasses.replace(LIBRARY, arch=arch)))
    assert here(plan, capsys)["state"] == state
    assert main(["inspect", str(plan)]) == 0
    printed = capsys.readouterr().out
    assert f"2.0 KiB for {arch}, 3 kernels, SHA-256 {'c' * 64}" in printed
    assert "needs a driver that supports CUDA 13.0" in printed


@pytest.mark.parametrize(
    ("library", "code", "allowed"), [(None, "PK533", 2), (LIBRARY, "PK534", 0)]
)
def test_another_plan_than_the_manifests_is_refused(
    library: LibraryRecord | None, code: str, allowed: int, plan: Path, capsys: Capture
) -> None:
    save(plan, with_plugin(library=library))
    plan.write_bytes(plan.read_bytes()[::-1])
    assert main(["inspect", str(plan)]) == 2
    assert f"{code} " in capsys.readouterr().err
    assert main(["inspect", str(plan), "--allow-host-code"]) == allowed


@pytest.mark.trt
@pytest.mark.parametrize(
    ("changed", "options", "tensorrt", "gpu"),
    [
        ({}, (), "yes, tensorrt_rtx", "yes, NVIDIA L4"),
        ({"tensorrt": "1.0.0"}, (), "no: it was built with tensorrt_rtx 1.0.0; this is", "yes"),
        ({}, ("tensorrt_lean",), "no: it was built with tensorrt_rtx", "yes"),
        ({"flavour": "tensorrt"}, (), "no: tensorrt is not installed", "yes"),
        ({"compute_capabilities": ("9.0",)}, (), "yes", "no: it was built for"),
    ],
)
def test_the_tensorrt_and_the_gpu_here_are_judged(
    changed: dict[str, Any],
    options: tuple[str, ...],
    tensorrt: str,
    gpu: str,
    plan: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan_contents, "find_gpu", lambda: Gpu("NVIDIA L4", (8, 9), 2**34))
    versions = {"tensorrt_rtx": MANIFEST.tensorrt, "tensorrt_lean": "10.16.1"}
    monkeypatch.setattr(plan_contents, "installed_version", versions.get)
    monkeypatch.setattr(plan_contents, "installed_flavours", lambda: list(versions))
    save(plan, dataclasses.replace(MANIFEST, **changed))
    argv = ["inspect", str(plan), "--json", *(f"--tensorrt={name}" for name in options)]
    assert main(argv) == 0
    here = json.loads(capsys.readouterr().out)["here"]
    for what, expected in (("TensorRT", tensorrt), ("GPU", gpu)):
        assert here[what]["text"].startswith(expected)
        assert here[what]["fits"] == expected.startswith("yes")


def test_a_tensorrt_that_there_is_not_is_refused(
    plan: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(plan, MANIFEST)
    assert main(["inspect", str(plan), "--tensorrt", "nix"]) == 2
    assert "PK600 'nix' is no TensorRT" in capsys.readouterr().err
    monkeypatch.setattr(plan_contents, "find_gpu", lambda: None)
    assert main(["inspect", str(plan)]) == 0
    assert "GPU here: no: there is none" in capsys.readouterr().out


def test_a_missing_and_a_damaged_manifest_are_told_apart(plan: Path, capsys: Capture) -> None:
    save(plan, MANIFEST)
    manifest_path(plan).write_text("{}")
    assert main(["inspect", str(plan)]) == 2
    assert "PK532 " in capsys.readouterr().err
    manifest_path(plan).unlink()
    assert main(["inspect", str(plan)]) == 2
    assert "PK531 " in capsys.readouterr().err


class InspectedEngine:
    """What an ICudaEngine's inspector says, with the names alone or in detail."""

    def __init__(self, layers: list[Any]) -> None:
        self.layers = layers

    def create_engine_inspector(self) -> Any:
        return self

    def get_engine_information(self, layer_format: str) -> str:
        assert "JSON" in str(layer_format)
        return json.dumps({"Layers": self.layers, "Bindings": ["x", "y"]})


def test_layers_have_names_at_least() -> None:
    trt = SimpleNamespace(LayerInformationFormat=SimpleNamespace(JSON="JSON"))
    assert layers_of(trt, InspectedEngine(["relu"])) == [{"Name": "relu"}]
    assert layers_of(trt, InspectedEngine([{"Name": "a", "LayerType": "b"}]))[0]["LayerType"] == "b"


@pytest.mark.trt
def test_layers_are_asked_of_the_engine_on_a_gpu(
    plan: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = load_flavour("tensorrt_rtx").version
    save(plan, dataclasses.replace(MANIFEST, tensorrt=version, plugins=()))
    argv = ["inspect", str(plan), "--layers"]
    monkeypatch.setattr(open_engine, "find_gpu", lambda: None)
    assert main(argv) == 2
    assert "PK540 asking the engine inspector about" in capsys.readouterr().err
    monkeypatch.setattr(open_engine, "find_gpu", lambda: Gpu("NVIDIA L4", (8, 9), 2**34))
    engine = InspectedEngine(
        [{"Name": "first", "LayerType": "gemm", "TacticName": "sm89"}, "second"]
    )
    monkeypatch.setattr(plan_contents, "load_engine", lambda *args: engine)
    assert main(argv) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["first", "gemm", "sm89"] in lines
    assert ["second"] in lines
