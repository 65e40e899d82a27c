"""Measure a plugin on this machine's GPU: device time, share of the copy bandwidth, host time.

The results are compared with the plugin's reference first. --peers names a file of peers to measure
as well: PEERS = (Peer("name", bind), ...), and workloads() for inputs other than the plugin's own
cases. The file is executed; it may import modules from its folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.cli import options
from pluginkit.errors import UsageError

if TYPE_CHECKING:
    from pluginkit.bench.bench_report import BenchReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("name", help="a plugin's class or plugin_name")
    parser.add_argument("--cases", type=_names, default=[], metavar="A,B", help="these cases only")
    parser.add_argument(
        "--dtypes", type=_names, default=[], metavar="A,B", help="these types only, such as float16"
    )
    parser.add_argument(
        "--peers",
        type=Path,
        metavar="FILE",
        help="a Python file that declares peers; it is executed",
    )
    parser.add_argument(
        "--json",
        nargs="?",
        const=True,
        metavar="FILE",
        help="print the report as JSON, or write it to FILE",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page")
    parser.add_argument("--png", type=Path, metavar="FILE", help="write the charts")
    parser.add_argument(
        "--turns",
        type=Path,
        metavar="FILE",
        help="take turns at timing with other benchmarks that name the file",
    )
    options.add_flavour(parser)
    options.add_discovery(parser, rewrites=False)
    options.add_common(parser, has_report=False)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def run(args: argparse.Namespace) -> int:
    """Measure a plugin."""
    from pluginkit.bench.bench_report import OWN, document_from_report
    from pluginkit.cli.terminal_output import print_json

    report = _measure(args)
    if args.json is True:
        print_json(document_from_report(report))
    else:
        _print_report(report)
    _write_report(args, report)
    return 1 if any(r.status != "ok" for r in report.results if r.implementation == OWN) else 0


def _measure(args: argparse.Namespace) -> BenchReport:
    from pluginkit.bench import workload
    from pluginkit.bench.gpu_timer import GpuTimer
    from pluginkit.bench.run_benchmark import run_benchmark
    from pluginkit.cli.found_classes import plugins_of
    from pluginkit.cli.terminal_output import print_line
    from pluginkit.contract.plugin_names import plugin_named
    from pluginkit.trt.flavour import load_flavour

    plugin = plugin_named(args.name, plugins_of(args))
    dtypes = workload.dtypes_from_names(args.dtypes)
    declared = workload.load_bench_file(args.peers) if args.peers else None
    if declared is not None and declared.workloads is not None:
        offered = list(declared.workloads())
    else:
        offered = workload.workloads_from_cases(plugin, dtypes)
    selected = workload.select(offered, args.cases, dtypes)
    gpu = GpuTimer(args.turns)
    with gpu.current():
        return run_benchmark(
            plugin.__name__,
            selected,
            declared.peers if declared else (),
            gpu,
            flavour=load_flavour(args.tensorrt),
            progress=lambda text: print_line(text, stderr=True),
        )


def _print_report(report: BenchReport) -> None:
    from pluginkit.bench.bench_report import OWN
    from pluginkit.bench.bench_table import summary_of, table_from_report
    from pluginkit.cli.terminal_output import print_line, print_table

    print_table(f"{report.benchmark}: times in microseconds", *table_from_report(report))
    for line in summary_of(report):
        print_line(line)
    for result in report.results:
        if result.status in ("wrong", "failed") or (result.note and result.implementation == OWN):
            what = " ".join((*result.workload, result.implementation))
            print_line(f"{what}: {result.status}: {result.note}")


def _write_report(args: argparse.Namespace, report: BenchReport) -> None:
    import json

    from pluginkit.bench.bench_report import document_from_report
    from pluginkit.bench.charts import html_from_report, png_from_report
    from pluginkit.cli.terminal_output import print_line

    def as_json(report: BenchReport) -> str:
        return json.dumps(document_from_report(report), indent=1) + "\n"

    file = Path(args.json) if isinstance(args.json, str) else None
    outputs: tuple[tuple[Path | None, Callable[[BenchReport], str | bytes]], ...] = (
        (file, as_json),
        (args.html, html_from_report),
        (args.png, png_from_report),
    )
    for path, write in outputs:
        if path is None:
            continue
        content = write(report)
        try:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        except OSError as error:
            raise UsageError(
                "PK703", f"'{path}' cannot be written: {error.strerror}.", fix="name another file."
            ) from error
        print_line(f"Wrote {path}.", stderr=True)
