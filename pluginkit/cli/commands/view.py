"""Draw a model, or two side by side, as one HTML page that works offline.

Nodes that TensorRT refuses, plugin nodes, nodes that a rewrite replaces and nodes that differ
between the two stand out, with the reason. Bodies of If, Loop and Scan and local functions open in
place. The page opens at the first refused node and says how to begin a plugin for it;
PAGE.html#node=NAME opens at another node. PNG and SVG save the graph. Weights are never read.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.cli import options
from pluginkit.errors import UsageError

if TYPE_CHECKING:
    import onnx

    from pluginkit.view.node_status import Verdicts

_BEGINNING = b"<!DOCTYPE html>"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("model", type=Path, help="the ONNX model")
    parser.add_argument(
        "after", type=Path, nargs="?", help="a second model, such as the rewritten one"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="the page (default: NAME.html in the first model's folder)",
    )
    parser.add_argument(
        "--no-scan", action="store_true", help="do not ask TensorRT which nodes it takes"
    )
    options.add_shapes(parser, ", for what rewrites know")
    options.add_choice(parser)
    options.add_flavour(parser)
    options.add_discovery(parser)
    options.add_common(parser)


def default_output(model: Path) -> Path:
    """Return ``model.html`` for ``model.onnx``."""
    return Path(f"{str(model).removesuffix('.onnx')}.html")


def run(args: argparse.Namespace) -> int:
    """Draw one model or two."""
    from pluginkit.cli.found_classes import choice_of, plugins_of, rewrites_of
    from pluginkit.cli.terminal_output import print_json, print_line
    from pluginkit.engine.scan.scan_model import scan
    from pluginkit.onnx.inference.shape_ranges import parse_shapes
    from pluginkit.trt.target import installed_target
    from pluginkit.view.draw_page import draw_models
    from pluginkit.view.node_status import verdicts_from_scan
    from pluginkit.view.page import page_from_documents

    output = args.output or default_output(args.model)
    _refuse_overwriting(output)
    models = [args.model] if args.after is None else [args.model, args.after]
    plugins, rewrites = plugins_of(args), rewrites_of(args)
    choice = choice_of(args, installed_target(args.tensorrt))
    shapes = parse_shapes(args.shapes)

    def ask(path: Path, model: onnx.ModelProto) -> Verdicts:
        return verdicts_from_scan(
            scan(
                path,
                plugins=plugins,
                rewrites=rewrites,
                choice=choice,
                flavour=args.tensorrt,
                shapes=shapes,
            )
        )

    documents = draw_models(
        models,
        rewrites=rewrites,
        plugins=plugins,
        choice=choice,
        shapes=shapes,
        parser=None if args.no_scan else ask,
    )
    _write(output, page_from_documents(documents))
    reports = [_report_of(*each) for each in zip(models, documents, strict=True)]
    if args.json:
        print_json({"page": output, "models": reports})
        return 0
    for report in reports:
        print_line(_sentence(report))
    print_line(f"Wrote {output}.")
    return 0


def _report_of(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    nodes = [node for scope in document["scopes"] for node in scope["nodes"]]
    differing = sum(node.get("differs", False) for node in nodes)
    return {
        "model": path,
        "nodes": len(nodes),
        "counts": document["counts"],
        "differing": differing,
        "notes": document["notes"],
    }


def _sentence(report: dict[str, Any]) -> str:
    words = {"unknown": "not asked"}
    counts = report["counts"].items()
    parts = [f"{count} {words.get(status, status)}" for status, count in counts if count]
    if report["differing"]:
        parts.append(f"{report['differing']} with no equal in the other model")
    noun = "node" if report["nodes"] == 1 else "nodes"
    return f"{report['model'].name}: {report['nodes']} {noun}: {', '.join(parts) or 'none'}."


def _refuse_overwriting(output: Path) -> None:
    from pluginkit.atomic_files import open_file

    try:
        with open_file(output) as file:
            is_page = file.read(len(_BEGINNING)) == _BEGINNING
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_write(output, error) from error
    if not is_page:
        raise UsageError(
            "PK631",
            f"'{output}' is no page; it would be overwritten.",
            fix="name another file with -o.",
        )


def _write(output: Path, page: str) -> None:
    from pluginkit.atomic_files import replace_file

    try:
        replace_file(output, page.encode())
    except OSError as error:
        raise _cannot_write(output, error) from error


def _cannot_write(output: Path, error: OSError) -> UsageError:
    return UsageError(
        "PK630",
        f"'{output}' cannot be written: {error.strerror}.",
        fix="name another file with -o.",
    )
