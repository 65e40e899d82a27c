import json

import pytest

from pluginkit.bench.bench_report import document_from_report, report_from_document
from pluginkit.bench.bench_table import markdown_from_table, summary_of, table_from_report
from pluginkit.errors import UsageError


def test_a_report_survives_json(report):
    document = json.loads(json.dumps(document_from_report(report)))
    assert report_from_document(document) == report


def test_the_document_has_these_fields(report):
    """Files of results are kept: a change here needs another FORMAT."""
    document = document_from_report(report)
    assert document["format"] == 1
    assert list(document) == [
        "format", "benchmark", "date", "environment", "copy_bandwidth", "driver_launch_us",
        "driver_launch_by", "method", "results",
    ]  # fmt: skip
    assert list(document["results"][0]) == [
        "case", "variant", "dtype", "shapes", "implementation", "status", "compulsory_bytes",
        "floor_us", "note", "error", "device_us", "low_us", "high_us", "host_v2_us", "host_v3_us",
    ]  # fmt: skip


@pytest.mark.parametrize("change", [{"format": 2}, {"results": [{"case": "x"}]}, {"more": 1}])
def test_another_document_is_refused(report, change):
    with pytest.raises(UsageError, match="PK702"):
        report_from_document(document_from_report(report) | change)


def test_the_table_has_a_row_for_each_workload(report):
    columns, rows = table_from_report(report)
    assert columns == [
        "case", "variant", "type", "floor us", "pluginkit", "share", "host us V2 / V3",
        "torch <eager>", "cupy",
    ]  # fmt: skip
    assert rows == [
        ["big", "a|b", "float32", "10.0", "12.5 x1.25", "80%", "6.0 / 4.0", "25.0 x2.50",
         "not offered"],
        ["small", "a|b", "float32", "10.0", "wrong", "", "", "", ""],
    ]  # fmt: skip


def test_markdown_escapes_what_would_end_a_cell():
    text = markdown_from_table(["a", "b"], [["x|y", "z"]])
    assert text == "| a | b |\n| --- | --- |\n| x\\|y | z |"


def test_the_summary_names_the_machine_and_the_limits(report):
    text = "\n".join(summary_of(report))
    for words in ("Fake <GPU>, driver 1.2, CUDA 13.0", "4.00 TB/s", "3.5 us (C loop)"):
        assert words in text
