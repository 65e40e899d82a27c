"""Replace what TensorRT cannot take by plugins, and write the new model.

The new model is checked before it is written. External data is never read: it is referenced or
copied. With --precision the model computes in a 16-bit type where its nodes can; pluginkit compare
--taps says what that costs, and which value is the first to leave the tolerance.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluginkit.cli import options
from pluginkit.cli.precision_arguments import add_precision, precision_of_args, print_precision

if TYPE_CHECKING:
    from pluginkit.onnx.rewriting.rewrite import Rewrite
    from pluginkit.onnx.rewriting.rewrite_model import RewriteResult
    from pluginkit.onnx.rewriting.rewrite_outcomes import RefusedRewrite

#: Nodes that a table lists; a model may have thousands.
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("model", type=Path, help="the ONNX model")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="the new model (default: NAME.plugins.onnx or NAME.PRECISION.onnx in its folder)",
    )
    options.add_shapes(parser, " for which the new model is")
    parser.add_argument("--dry-run", action="store_true", help="report, and write nothing")
    options.add_choice(parser)
    parser.add_argument(
        "--explain",
        action="store_true",
        help="also list what each rewrite that met nodes of the model does and looks for, and "
        "where its pattern almost matches and why it does not",
    )
    parser.add_argument(
        "--explain-all",
        action="store_true",
        help="the same for every rewrite, also those that no node of the model concerns",
    )
    parser.add_argument(
        "--target",
        metavar="FLAVOUR[:VERSION]",
        help="the TensorRT that will read the model, as tensorrt:10.16; rewrites that it does "
        "not need are left out (default: the one installed here)",
    )
    add_precision(parser)
    options.add_discovery(parser)
    options.add_common(parser)


def default_output(model: Path, precision: str | None = None) -> Path:
    """Return ``model.plugins.onnx`` for ``model.onnx``, or ``model.float16.onnx``."""
    return model.with_name(f"{model.name.removesuffix('.onnx')}.{precision or 'plugins'}.onnx")


def run(args: argparse.Namespace) -> int:
    """Rewrite a model."""
    from pluginkit.cli.found_classes import choice_of, plugins_of, rewrites_of
    from pluginkit.cli.terminal_output import print_json, print_line
    from pluginkit.onnx.inference.shape_ranges import parse_shapes
    from pluginkit.onnx.model.model_file import load_model, save_model
    from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
    from pluginkit.trt.target import installed_target, target_from_text

    target = installed_target() if args.target is None else target_from_text(args.target)
    precision = precision_of_args(args)
    plugins = plugins_of(args)  # first: a folder of rewrites may import from one of plugins
    rewrites = rewrites_of(args)
    result = rewrite_model(
        load_model(args.model),
        rewrites,
        choice=choice_of(args, target),
        plugins=plugins,
        shapes=parse_shapes(args.shapes),
        explain=args.explain or args.explain_all,
        in_place=True,
    )
    report = None
    if precision is not None:
        from pluginkit.onnx.precision.apply_precision import apply_precision

        report = apply_precision(result.model, precision, result.plugins, args.model.parent)
    output = args.output or default_output(args.model, args.precision)
    is_changed = bool(result.applied) or result.had_to_inline or report is not None
    written = None if args.dry_run or not is_changed else output
    if written is not None:
        save_model(result.model, written, args.model)
    if args.json:
        document = {"model": args.model, "output": written, "target": target and str(target)}
        document |= {"shapes": args.shapes}
        made = {} if report is None else {"precision": dataclasses.asdict(report)}
        print_json({**document, **report_of(result), **made})
        return 0
    if args.explain or args.explain_all:
        concerned = _concerned(result)
        for rewrite in rewrites:
            if rewrite.__name__ not in concerned and not args.explain_all:
                continue
            print_line(f"{rewrite.__name__}: {(rewrite.__doc__ or '').partition(chr(10))[0]}")
            print_line(f"  looks for {rewrite.op}{_gives(rewrite)}")
            if rewrite.__name__ in result.retired:
                print_line(f"  not needed: {target} takes such nodes as they are")
            if rewrite.__name__ in result.opt_in:
                print_line(f"  left out: it is opt-in; --with {rewrite.__name__} applies it")
    print_report(result, lists_all=args.explain or args.explain_all)
    if result.had_to_inline:
        print_line("Inlined local functions that TensorRT's parser would refuse or mistake.")
    if report is not None:
        print_precision(report)
    if written is not None:
        print_line(f"Wrote {written}.")
        if args.shapes:
            print_line(
                f"It is for {', '.join(args.shapes)} only: give build and compare these --shapes."
            )
    elif is_changed:
        print_line(f"Dry run: {output} was not written.")
    elif args.output is not None:
        print_line(f"{output} was not written.")
    return 0


def _concerned(result: RewriteResult) -> set[str]:
    """Return the names of the rewrites that met nodes of the model."""
    return {one.rewrite for one in (*result.applied, *result.refused, *result.mismatched)}


def _gives(rewrite: type[Rewrite]) -> str:
    return "" if rewrite.plugin is None else f", gives {rewrite.plugin.spec.plugin_name}"


def report_of(result: RewriteResult) -> dict[str, object]:
    """Return what was rewritten and what was not, as JSON values."""
    return {
        "applied": [dataclasses.asdict(one) for one in result.applied],
        "refused": [dataclasses.asdict(one) for one in result.refused],
        "mismatched": [dataclasses.asdict(one) for one in result.mismatched],
        "retired": result.retired,
        "opt_in": result.opt_in,
        "notes": result.notes,
    }


def print_report(
    result: RewriteResult, *, lists_left: bool = True, lists_all: bool = False
) -> None:
    """Print what was rewritten and what was not, with the reasons.

    Args:
        result: what the rewrites did.
        lists_left: whether the nodes that were left are listed, as they are not where TensorRT has
            taken them.
        lists_all: whether every node has a line, also where there are many.
    """
    from pluginkit.cli.terminal_output import print_line, print_table

    for rewrite, made in dict.fromkeys((one.rewrite, one.made) for one in result.applied):
        alike = [one for one in result.applied if (one.rewrite, one.made) == (rewrite, made)]
        title = f"{rewrite}: {len(alike)} rewritten to {', '.join(made) or 'nothing'}"
        shown = alike if lists_all else alike[:_SHOWN]
        print_table(title, ("node", "in"), [(one.node, one.where) for one in shown])
        if len(alike) > len(shown):
            print_line(f"  and {len(alike) - len(shown)} more, which --json lists.")
    for note in result.notes:
        print_line(f"Note: {note}")
    if lists_left:
        _print_left(result.refused, "left as they are", lists_all)
    _print_left(result.mismatched, "that the pattern does not fit", lists_all)
    if not result.applied and not (lists_left and result.refused):
        print_line("Nothing was rewritten.")


def _print_left(refused: Sequence[RefusedRewrite], what: str, lists_all: bool) -> None:
    from pluginkit.cli.terminal_output import print_table

    for rewrite in dict.fromkeys(one.rewrite for one in refused):
        left = [one for one in refused if one.rewrite == rewrite]
        title = f"{rewrite}: {len(left)} {what}"
        if lists_all:
            rows = [(one.node, one.where, one.reason) for one in left]
            print_table(title, ("node", "in", "reason"), rows)
            continue
        nodes: dict[str, list[str]] = {}
        for one in left:
            nodes.setdefault(one.reason, []).append(one.node)
        groups = [(_first_of(names), reason) for reason, names in nodes.items()]
        print_table(title, ("nodes", "reason"), groups)


def _first_of(names: Sequence[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
