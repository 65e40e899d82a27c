"""Every numbered example is executed as its reader would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("[0-9]*.py"))
PAGE = (Path(__file__).parents[2] / "examples" / "README.md").read_text()

pytestmark = pytest.mark.trt


def test_there_are_examples_and_their_page_names_them() -> None:
    assert len(EXAMPLES) >= 7
    for example in EXAMPLES:
        assert f"({example.name})" in PAGE


PRINTS = {
    "01_model_to_plan.py": ["ReplaceScatterElements", "y: largest", "needs ScatterElements_PK 1"],
    "02_first_plugin.py": ["swish of -3 to 3", "calls Swish_PK with {'beta': 1.5}"],
    "03_own_tensorrt_code.py": ["a plan of"],
    "04_numba_plugin.py": ["swish of -3 to 3", "compiled for 86", "compiled for 120"],
    "05_rewrite.py": ["nodes: Silu_PK, Neg", "y: largest error"],
    "06_data_dependent_shape.py": ["positive: [3. 2.]", "example.plan calls Positive_PK"],
    "07_test_a_plugin.py": [
        "test_plugin[shape_function] PASSED",
        "test_a_wrong_plugin_is_found PASSED",
        "test_the_numbers PASSED",
    ],
    "08_network_by_api.py": [
        "panorama.plan calls CircPad_PK in layer 'wrap'",
        "and gives y float32[-1, 8, 32, 64]",
    ],
}
WITH_PYTEST = ["-m", "pytest", "-v", "-p", "no:cacheprovider"]


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    runner = WITH_PYTEST if "_test_" in example.name else []
    done = subprocess.run(
        [sys.executable, *runner, example],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for text in PRINTS[example.name]:
        assert text in done.stdout
    assert list(tmp_path.iterdir()) == []
