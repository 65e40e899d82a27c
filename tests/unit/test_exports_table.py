"""The committed table of exported models is what the script makes of the committed results."""

import json
import re
from pathlib import Path

import exports
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROWS = json.loads((BENCHMARKS / "results" / "exports.json").read_text())["rows"]


def test_the_page_is_made_of_the_results():
    assert (BENCHMARKS / "exports.md").read_text() == exports.page(ROWS)


def test_every_model_has_an_outcome_and_no_path_of_a_machine():
    assert len(ROWS) > 100
    assert {row["status"] for row in ROWS} <= {"native", "equal", "builds", "differs", "left"}
    assert all(row["rewrites"] for row in ROWS if row["status"] in ("equal", "builds", "differs"))
    assert not re.search(r"/(home|root|tmp|work)/", json.dumps(ROWS))


@pytest.mark.parametrize(
    ("refusal", "shown"),
    [
        ("PK520 x's ONNX parser refuses Det 'n0' and 1 more. Where: ...", "Det 'n0' and 1 more"),
        ("PK521 built none. Cause: IBuilder::buildSerializedNetwork: of a Loop", "of a Loop"),
    ],
)
def test_a_refusal_is_its_nodes_or_its_cause(refusal, shown):
    row = {"model": "a_b.dynamo", "exporter": "dynamo", "opset": 20, "status": "left"}
    line = exports.page([row | {"refusal": refusal, "problem": "p"}]).splitlines()
    (cells,) = (each.split(" | ") for each in line if each.startswith("| a b |"))
    assert cells[3].removeprefix("refuses ") == shown
    assert cells[-1] == "left: p |"
