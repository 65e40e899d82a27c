import sys
from pathlib import Path

import numpy as np
import pytest

from pluginkit import bfloat16, float16, float32, int64
from pluginkit.bench.loaded_workload import cast
from pluginkit.bench.workload import (
    dtypes_from_names,
    load_bench_file,
    select,
    workloads_from_cases,
)
from pluginkit.discovery import find_plugins
from pluginkit.errors import UsageError
from pluginkit.plugins.circ_pad import CircPad
from pluginkit.plugins.scatter_elements import ScatterElements

FOLDER = Path(__file__).parents[3] / "benchmarks"
#: The scripts with peers.
BENCHMARKS = sorted(path for path in FOLDER.glob("*.py") if "PEERS = (" in path.read_text())


def test_a_plugins_cases_become_workloads_without_the_empty_ones():
    found = workloads_from_cases(CircPad)
    names = [workload.case for workload in found]
    assert "image" in names
    assert "empty_batch" not in names
    assert {workload.dtypes for workload in found} == {(float32,)}


def test_types_are_those_of_the_first_type_variable():
    found = workloads_from_cases(ScatterElements, [float16, bfloat16])
    assert {workload.dtypes for workload in found} == {
        (float16, int64, float16),
        (bfloat16, int64, bfloat16),
    }


def test_selection_by_case_and_type():
    every = workloads_from_cases(CircPad, [float32, float16])
    found = select(every, ["image", "odd"], [float16])
    assert [(one.case, one.dtypes) for one in found] == [
        ("image", (float16,)),
        ("odd", (float16,)),
    ]
    assert len(select(every, [], [])) == len(every)


@pytest.mark.parametrize(("cases", "dtypes"), [(["imag"], []), ([], [int64])])
def test_what_is_not_there_is_an_error(cases, dtypes):
    with pytest.raises(UsageError, match="PK701"):
        select(workloads_from_cases(CircPad), cases, dtypes)


def test_an_unknown_type_is_an_error():
    with pytest.raises(UsageError, match="PK701 dtype 'half'"):
        dtypes_from_names(["half"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [(None, "cannot be executed"), ("1 / 0", "ZeroDivisionError"), ("x = 1", "declares neither")],
)
def test_a_file_that_declares_nothing_is_refused(tmp_path, text, problem):
    path = tmp_path / "peers.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=f"PK700 .*{problem}"):
        load_bench_file(path)


def test_a_file_declares_peers(tmp_path):
    path = tmp_path / "peers.py"
    path.write_text(
        "from pluginkit.bench.workload import Peer\nPEERS = [Peer('one', lambda *a: None)]\n"
    )
    declared = load_bench_file(path)
    assert [peer.name for peer in declared.peers] == ["one"]
    assert declared.workloads is None


def test_a_file_imports_what_lies_beside_it(tmp_path):
    (tmp_path / "beside_the_peers.py").write_text("PEERS = ('one',)\n")
    (tmp_path / "peers_of_mine.py").write_text("from beside_the_peers import PEERS\n")
    before = list(sys.path)
    assert load_bench_file(tmp_path / "peers_of_mine.py").peers == ("one",)
    assert sys.path == before


def test_a_file_may_declare_dataclasses(tmp_path):
    path = tmp_path / "peers_with_settings.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Setting:\n    size: int\nPEERS = (Setting(3),)\n"
    )
    assert load_bench_file(path).peers[0].size == 3


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_the_benchmarks_declare_workloads_of_one_plugin_and_peers(path):
    declared = load_bench_file(path)
    names = [peer.name for peer in declared.peers]
    assert len(names) == len(set(names)) >= 1
    (plugin,) = {type(workload.plugin) for workload in declared.workloads()}
    assert plugin in find_plugins().values()


def test_there_are_benchmarks_with_peers():
    assert {"scatter_elements", "top_k"} <= {path.stem for path in BENCHMARKS}


def test_bfloat16_is_rounded_as_ml_dtypes_rounds():
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    words = cast(np, values, bfloat16)
    np.testing.assert_array_equal(words, values.astype(bfloat16.numpy).view(np.uint16))
