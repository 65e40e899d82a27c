"""``pluginkit warm``: which kernels are compiled, for which GPUs, and what is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pluginkit.cli.main import main
from pluginkit.device import gpus
from pluginkit.device.gpus import Gpu
from pluginkit.discovery import find_plugins
from pluginkit.engine.build.model_plugins import source_sha256
from pluginkit.engine.plan import warm_plan
from pluginkit.engine.plan.manifest import PluginNode, PluginRecord, ProfileCall
from tests.cli.test_inspect import LIBRARY
from tests.unit.engine.plan.test_check_manifest import MANIFEST, save

Capture = pytest.CaptureFixture[str]
KEY = ("TopK_PK", "1", "pluginkit")
CALLS = tuple(
    ProfileCall({}, ((rows, 300_000),), ("float32",), ((rows, 5), (rows, 5))) for rows in (1, 8)
)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str]]:
    """The kernels that would have been compiled, with the GPU; this machine has none."""
    asked: list[tuple[list[str], str]] = []
    monkeypatch.setattr(
        warm_plan, "machine_code", lambda wanted, arch: asked.append(([*map(str, wanted)], arch))
    )
    monkeypatch.setattr(gpus, "find_gpu", lambda: None)
    return asked


def plan_with(folder: Path, calls: tuple[ProfileCall, ...] = CALLS, **changed: Any) -> str:
    plugin = find_plugins()[KEY]
    node = PluginNode("n", {})
    record = PluginRecord(*KEY, "v3", "some:TopK", source_sha256(plugin), (node,), calls)
    save(folder / "model.plan", dataclasses.replace(MANIFEST, plugins=(record,), **changed))
    return str(folder / "model.plan")


def test_the_kernels_of_every_call_and_tactic_are_compiled(
    tmp_path: Path, compiled: list[tuple[list[str], str]], capsys: Capture
) -> None:
    plan = plan_with(tmp_path)
    assert main(["warm", plan, "--json"]) == 0
    (kernels, first), (same, second) = compiled
    assert (first, second) == ("86", "89")  # those that the plan was built for
    assert kernels == same
    assert len(kernels) == len(set(kernels)) == json.loads(capsys.readouterr().out)["kernels"]
    names = {kernel.partition("<")[0] for kernel in kernels}
    assert len(names) > 2, kernels  # the tactic "rows" has one kernel, "split" several
    assert "top_k" in names


def test_the_gpu_is_this_machines_or_the_named_one(
    tmp_path: Path,
    compiled: list[tuple[list[str], str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    plan = plan_with(tmp_path)
    monkeypatch.setattr(gpus, "find_gpu", lambda: Gpu("a GPU", (8, 6), 1))
    assert main(["warm", plan]) == 0
    assert f"of {plan} for compute capability 8.6: in " in capsys.readouterr().out
    assert main(["warm", plan, "--compute-capability", "8.9"]) == 0
    assert [arch for _, arch in compiled] == ["86", "89"]
    assert main(["warm", plan, "--compute-capability", "9.0"]) == 2
    assert "PK533" in capsys.readouterr().err


def test_a_manifest_without_calls_is_refused(
    tmp_path: Path, compiled: list[tuple[list[str], str]], capsys: Capture
) -> None:
    assert main(["warm", plan_with(tmp_path, calls=())]) == 2
    assert "has no shapes of plugin TopK_PK" in capsys.readouterr().err
    assert compiled == []


def test_a_plan_that_holds_its_kernels_needs_none(
    tmp_path: Path, compiled: list[tuple[list[str], str]], capsys: Capture
) -> None:
    assert main(["warm", plan_with(tmp_path, library=LIBRARY)]) == 0
    assert "holds its 3 kernels: nothing to do." in capsys.readouterr().out
    assert compiled == []
