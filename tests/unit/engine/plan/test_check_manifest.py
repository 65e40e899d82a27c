import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pluginkit.engine.plan.check_manifest import check_manifest
from pluginkit.engine.plan.manifest import (
    Manifest,
    PluginNode,
    PluginRecord,
    Range,
    Tensor,
    manifest_path,
    read_manifest,
)
from pluginkit.errors import PlanError

PLAN = b"plan" * 100
KEY = ("Scale_PK", "1", "pluginkit")
RANGE = {"min": [1], "opt": [1], "max": [1], "is_shape_tensor": False}
MANIFEST = Manifest(
    pluginkit="0.1.0",
    flavour="tensorrt_rtx",
    tensorrt="1.7.1.116",
    is_version_compatible=False,
    compute_capabilities=("8.6", "8.9"),
    plan_bytes=len(PLAN),
    plan_sha256=hashlib.sha256(PLAN).hexdigest(),
    model="model.onnx",
    model_sha256="0" * 64,
    inputs=(Tensor("x", "float32", (-1, 4)),),
    outputs=(Tensor("y", "float32", (-1, 4)),),
    profiles=({"x": Range((1, 4), (2, 4), (8, 4))},),
    plugins=(
        PluginRecord(*KEY, "v3", "plugins.scale:Scale", "abc", (PluginNode("n", {"factor": 2.5}),)),
    ),
)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "model.plan"
    save(path, MANIFEST)
    return path


def save(path: Path, manifest: Manifest) -> None:
    path.write_bytes(PLAN)
    manifest_path(path).write_text(manifest.to_json(), encoding="utf-8")


def refusal(path: Path, **here: Any) -> PlanError:
    with pytest.raises(PlanError) as caught:
        check_manifest(path, **here)
    return caught.value


def test_a_manifest_survives_its_json(plan: Path) -> None:
    assert read_manifest(plan) == MANIFEST


def test_what_fits_is_returned(plan: Path) -> None:
    here = {"flavour": "tensorrt_rtx", "tensorrt": "1.7.1.116", "compute_capabilities": ["8.9"]}
    assert check_manifest(plan, plugin_sources={KEY: "abc"}, **here) == MANIFEST


def test_a_missing_plan_and_a_folder_are_said(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.plan").code == "PK530"
    assert "is a folder" in refusal(tmp_path).message


def test_a_missing_manifest_is_said(plan: Path) -> None:
    manifest_path(plan).unlink()
    error = refusal(plan)
    assert error.code == "PK531"
    assert "model.plan.json" in error.message


def test_a_truncated_plan_is_said(plan: Path) -> None:
    plan.write_bytes(PLAN[:-1])
    error = refusal(plan)
    assert error.code == "PK533"
    assert "truncated: 399 bytes; its manifest says 400" in error.message


def test_a_changed_plan_of_the_same_size_is_said(plan: Path) -> None:
    plan.write_bytes(PLAN[:-1] + b"?")
    assert "SHA-256" in refusal(plan).message


@pytest.mark.parametrize(
    ("here", "said"),
    [
        ({"flavour": "tensorrt"}, "built with tensorrt_rtx 1.7.1.116; this is tensorrt."),
        ({"flavour": "tensorrt_rtx", "tensorrt": "1.8.0.1"}, "this is version 1.8.0.1"),
        ({"compute_capabilities": ["9.0"]}, "8.6, 8.9; the GPU here has 9.0"),
        ({"plugin_sources": {}}, "needs plugin Scale_PK version 1 .* it is not there"),
        ({"plugin_sources": {("Scale_PK", "2", "pluginkit"): "abc"}}, "version 2 is there"),
        ({"plugin_sources": {KEY: "abd"}}, "has changed since the plan was built"),
    ],
)
def test_each_misfit_is_said_in_words(plan: Path, here: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=f"PK533 .*{said}"):
        check_manifest(plan, **here)


def test_all_misfits_are_listed_together(plan: Path) -> None:
    error = refusal(
        plan, flavour="tensorrt", compute_capabilities=["9.0"], plugin_sources={KEY: "abd"}
    )
    assert "3 reasons" in error.message
    assert len(str(error.cause).splitlines()) == 3


@pytest.mark.parametrize(
    ("version", "fits"),
    [("10.16.0", True), ("10.17.1", True), ("10.15.9", False), ("11.0.0", False)],
)
def test_a_version_compatible_plan_loads_in_later_versions(
    plan: Path, version: str, fits: bool
) -> None:
    built = dataclasses.replace(
        MANIFEST, flavour="tensorrt", tensorrt="10.16.0", is_version_compatible=True
    )
    save(plan, built)
    if fits:
        assert check_manifest(plan, flavour="tensorrt", tensorrt=version) == built
    else:
        assert refusal(plan, flavour="tensorrt", tensorrt=version).code == "PK533"


def damage(name: str, value: object) -> str:
    return json.dumps({**json.loads(MANIFEST.to_json()), name: value})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        damage("format", 1),
        damage("plan_bytes", "400"),
        damage("plan_bytes", True),
        damage("inputs", [{"name": "x"}]),
        damage("inputs", {"x": 1}),
        damage("compute_capabilities", [8.9]),
        damage("profiles", {"x": 1}),
        damage("profiles", []),
        damage("profiles", [{}]),
        damage("profiles", [{"x": {**RANGE, "max": ["1"]}}]),
        damage("profiles", [{"x": 1}]),
        damage("plugins", [{"name": "Scale_PK"}]),
        damage("plugins", [None]),
    ],
)
def test_a_damaged_manifest_is_one_error(plan: Path, text: str) -> None:
    manifest_path(plan).write_text(text, encoding="utf-8")
    error = refusal(plan)
    assert error.code == "PK532"
    assert error.cause


def test_a_binary_manifest_is_damaged(plan: Path) -> None:
    manifest_path(plan).write_bytes(b"\xff\xfe\x00plan")
    assert refusal(plan).code == "PK532"


def test_a_damaged_entry_is_named(plan: Path) -> None:
    manifest_path(plan).write_text(damage("inputs", [{"name": "x", "dtype": 1}]), encoding="utf-8")
    assert refusal(plan).cause == "inputs[0].dtype is not str"


@pytest.mark.parametrize("version", ["²", "1.²", "9" * 5000, "", "a.b"])
def test_a_version_that_is_no_version_does_not_fit(plan: Path, version: str) -> None:
    save(plan, dataclasses.replace(MANIFEST, tensorrt=version, is_version_compatible=True))
    error = refusal(plan, flavour="tensorrt_rtx", tensorrt="0.1")
    assert error.code in ("PK532", "PK533")


def test_ranges_of_different_ranks_are_damage(plan: Path) -> None:
    save(plan, dataclasses.replace(MANIFEST, profiles=({"x": Range((1,), (2, 4), (8, 4))},)))
    assert refusal(plan).code == "PK532"


def test_pipes_and_impossible_names_are_refused_at_once(plan: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe").code == "PK530"
    assert refusal(tmp_path / ("a" * 300)).code == "PK530"
    assert refusal(tmp_path / "nul\0").code == "PK530"
    manifest_path(plan).unlink()
    os.mkfifo(manifest_path(plan))
    assert refusal(plan).code == "PK531"


def test_a_model_is_no_plan(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    error = refusal(tmp_path / "m.onnx")
    assert error.code == "PK530"
    assert "m.onnx is a model; expected a plan" in str(error)
