"""Plugin libraries that are loaded, loaded again, deregistered and mixed, in installed TensorRTs.

Each sequence runs in its own process, so that the test sees a crash.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pluginkit.trt.flavour import installed_version
from tests.export.building import Target
from tests.export.test_in_tensorrt import FLAVOURS, target_of

pytestmark = [pytest.mark.trt, pytest.mark.slow, pytest.mark.exhaustive]

Built = Callable[[Target], Path]

NONE = [None, None]
V3 = ["IPluginCreatorV3One"] * 2
#: Gather is an IPluginV3 in any library: its shape input needs that.
V2 = ["IPluginCreator", "IPluginCreatorV3One"]


@dataclass(frozen=True)
class Took:
    """The result of a step: whether it worked, creators, libraries in memory, Scale 2."""

    worked: bool
    creators: list[str | None]
    mapped: list[str]
    has_version_2: bool = False


def taken(flavour: str, *steps: tuple[str, Path]) -> tuple[list[Took], str]:
    """Return the result of each step, and the stderr of the process."""
    given = [f"{name}:{library}" for name, library in steps]
    done = subprocess.run(
        [sys.executable, "-m", "tests.export.loads_in_tensorrt", flavour, *given],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
    found = [Took(*json.loads(line)) for line in done.stdout.splitlines()]
    assert len(found) == len(steps)
    return found, done.stderr


@FLAVOURS
@pytest.mark.parametrize("registers_itself", [False, True])
def test_a_library_for_tensorrt_8_is_refused_with_a_message(
    built: Built, flavour: str, registers_itself: bool
):
    ours = built(target_of(flavour))
    eight = built(Target(8, "v2", registers_itself=registers_itself))
    way = "open" if registers_itself else "load"
    found, said = taken(flavour, (way, eight), ("load", ours))
    assert [each.creators for each in found] == [NONE, V3]
    assert "PK218 this plugin library was built for TensorRT 8; this is TensorRT" in said
    assert ".".join((installed_version(flavour) or "").split(".")[:3]) in said


@FLAVOURS
@pytest.mark.parametrize("is_v2_first", [False, True])
def test_the_first_of_two_libraries_with_one_plugin_stays(
    built: Built, flavour: str, is_v2_first: bool
):
    pairs = [(built(target_of(flavour)), V3), (built(target_of(flavour, interface="v2")), V2)]
    (first, has), (second, has_second) = pairs[::-1] if is_v2_first else pairs
    found, said = taken(
        flavour,
        ("load", first),
        ("load", second),
        ("make", first),
        ("give", first),
        ("load", second),
        ("make", second),
        ("give", second),
    )
    assert [each.worked for each in found] == [True, False, True, True, True, True, True]
    assert [each.creators for each in found] == [
        *[has, has, has, NONE],
        *[has_second, has_second, NONE],
    ]
    assert found[1].mapped == [str(first)]
    assert "PK" not in said


@FLAVOURS
def test_a_copy_under_another_name_is_the_same_plugin(built: Built, flavour: str, tmp_path: Path):
    library = built(target_of(flavour))
    copy = Path(shutil.copy(library, tmp_path / "libcopy.so"))
    found, _ = taken(flavour, ("load", library), ("load", copy), ("give", library), ("load", copy))
    assert [each.worked for each in found] == [True, False, True, True]
    assert [each.mapped for each in found] == [
        *[[str(library)], [str(library)], []],
        [str(copy)],
    ]
    assert [each.creators for each in found] == [V3, V3, NONE, V3]


@FLAVOURS
def test_two_versions_of_a_plugin_live_in_one_registry(built: Built, flavour: str):
    old, new = built(target_of(flavour)), built(target_of(flavour, renewed=1))
    found, said = taken(
        flavour, ("load", old), ("load", new), ("make", old), ("give", new), ("give", old)
    )
    assert [each.worked for each in found] == [True] * 5
    assert [each.creators for each in found] == [V3, V3, V3, V3, NONE]
    assert [each.has_version_2 for each in found] == [False, True, True, False, False]
    assert "PK" not in said


@FLAVOURS
def test_of_two_versions_the_last_library_goes_first(built: Built, flavour: str):
    # Otherwise TensorRT keeps a pointer to a creator that is gone, as the page on exports says.
    old, new = built(target_of(flavour)), built(target_of(flavour, renewed=1))
    with pytest.raises(AssertionError, match=r"^-\d+: "):
        taken(flavour, ("load", old), ("load", new), ("give", old))


@FLAVOURS
def test_one_plugin_in_common_and_the_second_library_is_refused_whole(built: Built, flavour: str):
    old, new = built(target_of(flavour)), built(target_of(flavour, renewed=2))
    found, _ = taken(flavour, ("load", old), ("load", new), ("make", old), ("give", old))
    assert [each.worked for each in found] == [True, False, True, True]
    assert not any(each.has_version_2 for each in found)
    assert found[-1].mapped == []


@FLAVOURS
def test_one_plugin_in_common_and_the_second_twin_registers_the_others(built: Built, flavour: str):
    old = built(target_of(flavour, registers_itself=True))
    new = built(target_of(flavour, registers_itself=True, renewed=2))
    found, said = taken(flavour, ("open", old), ("open", new), ("make", old))
    assert [each.creators for each in found] == [V3] * 3
    assert [each.has_version_2 for each in found] == [False, True, True]
    assert said.count("PK208") == 1
    assert "Gather" in said


@FLAVOURS
def test_a_deregistered_library_is_unmapped_and_loads_again(built: Built, flavour: str):
    library = built(target_of(flavour))
    round_trip = [("load", library), ("load", library), ("give", library)]
    found, said = taken(flavour, *round_trip, *round_trip)
    assert [each.worked for each in found] == [True, False, True] * 2
    assert [each.creators for each in found] == [V3, V3, NONE] * 2
    assert [each.mapped for each in found] == [[str(library)], [str(library)], []] * 2
    assert "PK" not in said


@FLAVOURS
def test_both_ways_of_loading_in_one_process(built: Built, flavour: str):
    loaded, opened = built(target_of(flavour)), built(target_of(flavour, registers_itself=True))
    found, said = taken(
        flavour, ("load", loaded), ("open", opened), ("make", loaded), ("give", loaded)
    )
    assert [each.creators for each in found] == [V3, V3, V3, NONE]
    # Plain dlopen says which plugins the registry has already; they are the loaded library's.
    assert said.count("PK208") == 2
    assert found[-1].mapped == [str(opened)]


@FLAVOURS
def test_both_ways_of_loading_in_the_other_order(built: Built, flavour: str):
    loaded, opened = built(target_of(flavour)), built(target_of(flavour, registers_itself=True))
    found, said = taken(
        flavour, ("open", opened), ("load", loaded), ("make", opened), ("open", opened)
    )
    assert [each.worked for each in found] == [True, False, True, True]
    assert [each.creators for each in found] == [V3] * 4
    assert found[-1].mapped == [str(opened)]
    assert "PK" not in said


@FLAVOURS
@pytest.mark.parametrize("interface", ["v3", "v2"])
def test_a_library_can_be_deregistered_while_plugins_are_alive(
    built: Built, flavour: str, interface: str
):
    # Its code goes at once, so no one may call or destroy the plugin; nothing else breaks.
    library = built(target_of(flavour, interface=interface))
    again = [("load", library), ("make", library), ("give", library)]
    found, said = taken(flavour, *again, *again)
    has = V3 if interface == "v3" else V2
    assert [each.worked for each in found] == [True] * 6
    assert [each.creators for each in found] == [has, has, NONE] * 2
    assert found[-1].mapped == []
    assert "PK" not in said


@FLAVOURS
@pytest.mark.parametrize("interface", ["v3", "v2"])
def test_plugins_outlive_a_library_that_is_kept_open(built: Built, flavour: str, interface: str):
    library = built(target_of(flavour, interface=interface))
    found, said = taken(
        flavour,
        ("open", library),
        ("load", library),
        ("make", library),
        ("give", library),
        ("drop", library),
    )
    assert [each.worked for each in found] == [True] * 5
    assert found[-1] == Took(True, NONE, [str(library)])
    assert "PK" not in said


@FLAVOURS
def test_a_plugin_that_outlives_its_library_crashes(built: Built, flavour: str):
    # Killed by a signal, as the page on exports says; else the test before would prove nothing.
    library = built(target_of(flavour))
    with pytest.raises(AssertionError, match=r"^-\d+: "):
        taken(flavour, ("load", library), ("make", library), ("give", library), ("drop", library))
