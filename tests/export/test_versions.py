"""The creators of a library for TensorRTs of several versions."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.export.building import CPP, Target, build_plain_library, build_program

pytestmark = pytest.mark.slow

#: Other versions than the library's get no creators. Gather's second output aliases its second
#: input, which needs TensorRT 10.3 and the second version of the build interface.
ANSWERS = {
    10: {
        8601: "0",
        10400: "2 2 -1 1 -1",
        10500: "0",
        10701: "0",
        100000: "2 1",
        100201: "2 1",
        100300: "2 2 -1 1 -1",
        101601: "2 2 -1 1 -1",
        110100: "0",
    },
    11: {
        8601: "0",
        10400: "0",
        10500: "2 2 -1 1 -1",
        10701: "2 2 -1 1 -1",
        101601: "0",
        110000: "2 2 -1 1 -1",
    },
}
NAMES = {
    8601: "TensorRT 8.6.1",
    10400: "TensorRT-RTX 1.4.0",
    10500: "TensorRT-RTX 1.5.0",
    10701: "TensorRT-RTX 1.7.1",
    101601: "TensorRT 10.16.1",
    110100: "TensorRT 11.1.0",
}


@pytest.mark.parametrize("layout", [10, 11])
def test_a_library_knows_which_tensorrt_asks(
    built: Callable[[Target], Path], tmp_path: Path, layout: int
):
    tensorrt, program = tmp_path / "libsome_tensorrt.so", tmp_path / "versions"
    build_plain_library(tensorrt, CPP / "some_tensorrt.cpp")
    build_program(program, "versions.cpp", Target(layout))
    expected = ANSWERS[layout]
    done = subprocess.run(
        [str(program), str(built(Target(layout))), str(tensorrt), *map(str, expected)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [f"{version} {answer}" for version, answer in expected.items()]
    assert done.stdout.splitlines() == lines
    refused = [version for version, answer in expected.items() if answer == "0"]
    assert done.stderr.count("PK218") == len(refused)
    for version in refused:
        assert f"this is {NAMES[version]}." in done.stderr
