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
from tests.export.registry_caller import TensorRT, opened_lean
from tests.made_once import made_once


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Target], Path]:
    """Return a function that builds the library of cpp/programs.cpp for a target, once."""

    def library(target: Target) -> Path:
        def build_object(folder: Path) -> None:
            build_shared(folder / "shared.o", target)

        def build(folder: Path) -> None:
            shared = made_once(tmp_path_factory, f"shared_{target.shared.name}", build_object)
            build_library(folder / "libplugins.so", target, shared / "shared.o")

        return made_once(tmp_path_factory, f"library_{target.name}", build) / "libplugins.so"

    return library


@pytest.fixture(scope="session")
def recording_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording driver, a double for libcuda.so.1."""

    def build(folder: Path) -> None:
        build_recording_driver(folder / "librecording.so")

    return made_once(tmp_path_factory, "driver", build) / "librecording.so"


@pytest.fixture(scope="session")
def driven(
    built: Callable[[Target], Path],
    recording_driver: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Target, str], str]:
    """Return a function that runs a program that acts as TensorRT, and returns its output."""

    def run(target: Target, what: str) -> str:
        def build(folder: Path) -> None:
            build_program(folder / "drive", f"drive_{target.interface}.cpp", target)

        program = made_once(tmp_path_factory, f"program_{target.name}", build) / "drive"
        return drive(program, built(target), recording_driver, what)

    return run


@pytest.fixture(scope="session")
def tensorrt(tmp_path_factory: pytest.TempPathFactory) -> TensorRT:
    """tensorrt_lean's registry, called from C++."""
    opened = opened_lean(tmp_path_factory.mktemp("caller"))
    if opened is None:
        pytest.skip("tensorrt_lean is not installed")
    return opened
