from collections.abc import Callable
from pathlib import Path

import pytest

from tests.export.building import (
    Target,
    build_library,
    build_program,
    build_recording_driver,
    drive,
)
from tests.export.registry_caller import TensorRT, opened_lean


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Target], Path]:
    """Return a function that builds the library of cpp/programs.cpp for a target, once."""
    folder = tmp_path_factory.mktemp("libraries")
    known: dict[Target, Path] = {}

    def library(target: Target) -> Path:
        if target not in known:
            known[target] = folder / f"libplugins{len(known)}.so"
            build_library(known[target], target)
        return known[target]

    return library


@pytest.fixture(scope="session")
def recording_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording driver, a double for libcuda.so.1."""
    output = tmp_path_factory.mktemp("driver") / "librecording.so"
    build_recording_driver(output)
    return output


@pytest.fixture(scope="session")
def driven(
    built: Callable[[Target], Path],
    recording_driver: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Target, str], str]:
    """Return a function that runs a program that acts as TensorRT, and returns its output."""
    folder = tmp_path_factory.mktemp("programs")
    programs: dict[Target, Path] = {}

    def run(target: Target, what: str) -> str:
        if target not in programs:
            programs[target] = folder / f"drive{len(programs)}"
            build_program(programs[target], f"drive_{target.interface}.cpp", target)
        return drive(programs[target], built(target), recording_driver, what)

    return run


@pytest.fixture(scope="session")
def tensorrt(tmp_path_factory: pytest.TempPathFactory) -> TensorRT:
    """tensorrt_lean's registry, called from C++."""
    opened = opened_lean(tmp_path_factory.mktemp("caller"))
    if opened is None:
        pytest.skip("tensorrt_lean is not installed")
    return opened
