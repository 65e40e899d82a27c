"""benchmarks/ptx_mutants.md is made of the results, and accounts for every mutant."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("ptx_mutants", FOLDER / "ptx_mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look there
    monkeypatch.syspath_prepend(FOLDER)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_made_of_the_results(campaign: ModuleType) -> None:
    readings = json.loads((FOLDER / "ptx_mutant_readings.json").read_text())
    page = (FOLDER / "ptx_mutants.md").read_text()
    assert page == campaign.page(readings)
    shares = [int(share) for share in re.findall(r"^\| all .* (\d+)% \|$", page, re.M)]
    assert len(shares) == 2
    assert min(shares) > 90


def test_a_mutant_that_nobody_explains_is_refused(campaign: ModuleType) -> None:
    row = {"mutant": "scale, barrier 1", "place": "kernel.cu:7", "verdict": "unnoticed"}
    with pytest.raises(SystemExit, match=r"Scale, scale, barrier 1, kernel.cu:7 is unnoticed"):
        campaign.sort_of("barriers", "Scale", row, [])
    reading = {
        "campaign": "barriers",
        "plugin": "Scale",
        "mutant": "scale, .*:7",
        "judged": "wrong",
        "why": "x",
    }
    assert campaign.sort_of("barriers", "Scale", row, [reading]) == ("read as wrong", "x")
