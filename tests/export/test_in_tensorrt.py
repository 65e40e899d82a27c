"""The libraries of cpp/programs.cpp in the TensorRTs that are installed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pluginkit.trt.flavour import installed_version
from tests.export.building import Target

Built = Callable[[Target], Path]

FLAVOURS = pytest.mark.parametrize("flavour", ["tensorrt_rtx", "tensorrt_lean"])
BOTH = ["Scale_PK", "Gather_PK"]


def target_of(flavour: str, **changes: Any) -> Target:
    version = installed_version(flavour)
    if version is None:
        pytest.skip(f"{flavour} is not installed")
    major, minor = map(int, version.split(".")[:2])
    if flavour == "tensorrt_rtx":
        major = 11 if (major, minor) >= (1, 5) else 10
    return Target(major, **changes)


def target_that_parses() -> Target:
    version = installed_version("tensorrt_rtx")
    if version is None or tuple(map(int, version.split(".")[:2])) < (1, 7):
        pytest.skip(f"TensorRT-RTX is {version}; before 1.7 its parser takes no plugins")
    return target_of("tensorrt_rtx")


def asked(flavour: str, question: str, library: Path) -> tuple[dict[str, Any], str]:
    """Return the answer, and the stderr of the process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.export.in_tensorrt", flavour, question, str(library)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.trt
@pytest.mark.slow
class TestLibraries:
    @FLAVOURS
    def test_load_library_finds_the_creators(self, built: Built, flavour: str):
        answer, said = asked(flavour, "loaded_twice", built(target_of(flavour)))
        # TensorRT refuses a library whose plugins are there already.
        assert answer == {"loaded": [True, False], "creators": BOTH}
        assert "PK" not in said

    @FLAVOURS
    def test_plain_dlopen_registers(self, built: Built, flavour: str):
        library = built(target_of(flavour, registers_itself=True))
        answer, said = asked(flavour, "opened_twice", library)
        assert answer == {"creators": BOTH}
        assert "PK" not in said

    @FLAVOURS
    @pytest.mark.parametrize("registers_itself", [False, True])
    def test_another_major_version_is_refused_with_a_message(
        self, built: Built, flavour: str, registers_itself: bool
    ):
        layout = {11: 10, 10: 11}[target_of(flavour).layout]
        library = built(Target(layout, registers_itself=registers_itself))
        question = "opened_twice" if registers_itself else "loaded_twice"
        answer, said = asked(flavour, question, library)
        assert answer["creators"] == []
        assert f"PK218 this plugin library was built for TensorRT {layout}" in said
        version = ".".join((installed_version(flavour) or "").split(".")[:3])
        assert version in said

    @FLAVOURS
    def test_the_creator_makes_plugins(self, built: Built, flavour: str):
        answer, said = asked(flavour, "created", built(target_of(flavour)))
        assert answer == {"fields": ["factor"], "made": [True, False]}
        assert "PK205 Scale: attribute 'factor' reached TensorRT" in said

    def test_plans_of_python_and_exported_plugins_are_exchangeable_v2(self, built: Built):
        library = built(target_of("tensorrt_lean", interface="v2"))
        answer, said = asked("tensorrt_lean", "exchanged_v2", library)
        assert "PK" not in said
        assert answer["kind"] == "IPluginCreator"
        assert len(answer["documents"]) == 3
        for given, back, again in answer["documents"]:
            assert set(given["attributes"]) == {"factor", "pluginkit_recorded_sizes"}
            assert given == back == again

    @FLAVOURS
    def test_plans_of_python_plugins_load_v3(self, built: Built, flavour: str):
        answer, said = asked(flavour, "exchanged_v3", built(target_of(flavour)))
        assert "PK" not in said
        assert answer == {
            "names": ["factor", "pluginkit_recorded_sizes"],
            "made": True,
            "factor": 1e300,
        }

    def test_a_plan_holds_the_library(self, built: Built):
        library = built(target_that_parses())
        answer, _ = asked("tensorrt_rtx", "planned", library)
        assert answer["libraries"] == 1
        assert answer["bytes"] > library.stat().st_size
        assert answer["recorded"]
        assert answer["refused"] == [True, True]
        first, second = answer["said"]
        assert first.startswith(
            "Scale.IPluginV3.getOutputDataTypes, node 'scaling': PK112 Scale: inputs are int32; "
            "expected float32 or float16."
        )
        assert second.startswith("PK104 Scale: attribute 'factor' is 'x'; expected float.")

    def test_a_plan_of_a_plugin_with_all_features(self, built: Built):
        answer, _ = asked("tensorrt_rtx", "planned_with_everything", built(target_that_parses()))
        assert answer["said"] == []
        # k is 3; y has n + 3 columns at most, and a tactic that needs 2 * (4 * 4n + 256) bytes.
        assert [
            (each["shapes"][0][0], each["outputs"][0], each["workspace_bytes"])
            for each in answer["sizes"]
        ] == [(n, [[3, n + 3, 4], "float32"], 2 * (16 * n + 256)) for n in (1, 3, 8)]


@pytest.mark.slow
def test_a_self_registering_library_without_tensorrt_says_so(built: Built):
    library = built(Target(11, registers_itself=True))
    program = f"import ctypes; ctypes.CDLL({str(library)!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.startswith("PK209 this plugin library registers itself, but no TensorRT")
