"""Exported plugins, called in TensorRT's order by the C++ programs in cpp/."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.export.building import (
    Target,
    build_library,
    build_program,
    build_recording_driver,
    build_shared,
    drive,
)

pytestmark = pytest.mark.slow

Driven = Callable[[Target, str], str]

INTERFACES = pytest.mark.parametrize("interface", ["v2", "v3"])


@INTERFACES
def test_the_life_cycle_of_a_plugin_under_sanitizers(driven: Driven, interface: str):
    assert driven(Target(10, interface, is_sanitized=True), "cycle") == ""  # it says what fails


@INTERFACES
@pytest.mark.parametrize("payloads", [2000, pytest.param(20_000, marks=pytest.mark.exhaustive)])
def test_damaged_plans_are_refused_or_read(driven: Driven, interface: str, payloads: int):
    said = driven(Target(10, interface, is_sanitized=True), f"corrupt={payloads}")
    found = re.fullmatch(rf"(\d+) of {payloads} refused\n", said)
    assert found is not None
    assert payloads / 2 < int(found[1]) < payloads


@INTERFACES
def test_shape_changes_and_contexts_leak_nothing(driven: Driven, interface: str):
    found = re.fullmatch(
        r"grown by (-?\d+) KiB, (\d+) modules loaded\n", driven(Target(11, interface), "many")
    )
    assert found is not None
    assert int(found[1]) < 256
    assert int(found[2]) <= 2


@pytest.mark.parametrize(("layout", "interface"), [(8, "v2"), (11, "v2"), (11, "v3")])
def test_the_life_cycle_of_a_plugin_in_other_versions(driven: Driven, layout: int, interface: str):
    assert driven(Target(layout, interface), "cycle") == ""


def test_the_life_cycle_of_a_plugin_on_aarch64(tmp_path: Path):
    target = Target(10, machine="aarch64")
    for tool in (target.compiler, "qemu-aarch64"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    library, driver, program = (tmp_path / name for name in ("lib.so", "driver.so", "drive"))
    build_shared(tmp_path / "shared.o", target)
    build_library(library, target, tmp_path / "shared.o")
    build_recording_driver(driver, target.machine)
    build_program(program, "drive_v3.cpp", target)
    emulator = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")
    drive(program, library, driver, "cycle", emulator)
    said = drive(program, library, driver, "corrupt=2000", emulator)
    assert said.endswith(" of 2000 refused\n")
