"""The ``pluginkit`` command.

Exit codes: 0 done; 1 the work failed, as in a comparison or a build; 2 bad usage or bad input; 130
    Ctrl-C.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
import textwrap
import traceback
from collections.abc import Sequence
from typing import NoReturn

import pluginkit
from pluginkit.cli.terminal_output import printable
from pluginkit.distribution import pip_install, refuse_name_clash
from pluginkit.errors import (
    AttributeValueError,
    CrashError,
    DeclarationError,
    MissingDependencyError,
    ModelError,
    PlanError,
    PluginkitError,
    TensorError,
    UsageError,
)
from pluginkit.interrupts import interruptible_command

refuse_name_clash()  # again: the other package's __init__.py may have taken the place of ours

#: Each is a module of this package with ``add_arguments(parser)`` and ``run(args) -> int``.
COMMANDS = {
    "scan": "say what TensorRT takes of a model, what rewrites cover and what is left",
    "rewrite": "replace what TensorRT cannot take by plugins",
    "build": "turn a model into a plan, and its manifest",
    "network": "build a plan of a network that a script describes with TensorRT's API",
    "export": "write a model's plugins as C++ libraries for servers without Python",
    "refit": "give a plan the weights of another model",
    "inspect": "say what is in a plan and whether its plugins are here",
    "warm": "compile the kernels of a plan's plugins ahead, for its first run",
    "run": "run a plan on this machine's GPU",
    "compare": "run two models on the same inputs and print the largest error",
    "view": "draw a model, or two side by side, as one HTML page",
    "bench": "measure a plugin and its peers on this machine's GPU",
    "new": "begin a plugin: its module, kernel and test, and the rewrite that leads to it",
    "check": "check everything about a plugin that this machine can check",
    "list": "list the plugins and rewrites that are found",
    "show": "show the declaration of a plugin or a rewrite",
    "explain": "explain an error code",
    "doctor": "check TensorRT, GPU, CUDA and packages, with a fix for each problem",
}

#: Why a system refuses, and what helps.
_REFUSED = {
    errno.ENOSPC: "free room on the disk, or name a folder of another with -o and TMPDIR.",
    errno.EDQUOT: "free room of your quota, or name a folder of another disk with -o and TMPDIR.",
    errno.EMFILE: "allow the process more open files with ulimit -n.",
    errno.ENFILE: "end programs that hold files open.",
    errno.ENOMEM: "free memory.",
    errno.ENAMETOOLONG: "shorten the name; most file systems allow 255 bytes.",
    errno.EACCES: "check the permissions of the file and of the folders that hold it.",
    errno.EPERM: "check the permissions of the file and of the folders that hold it.",
    errno.EROFS: "name a file on a disk that may be written to.",
    errno.EIO: "check the disk.",
}

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

_INPUT_ERRORS = (
    AttributeValueError,
    DeclarationError,
    MissingDependencyError,
    ModelError,
    PlanError,
    TensorError,
    UsageError,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    with interruptible_command():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    try:
        parser = _parser()
        if not (sys.argv[1:] if argv is None else argv):
            parser.print_help(sys.stderr)
            return BAD_INPUT
        args = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has printed what there is to say
        return int(stop.code or 0)
    except KeyboardInterrupt:
        return _report_cancelled()
    try:
        code = int(args.run(args))
        sys.stdout.flush()  # here, where a closed pipe is caught
        return code
    except PluginkitError as error:
        return _report(error, args)
    except ModuleNotFoundError as error:
        if (error.name or "pluginkit").startswith("pluginkit"):
            return _report_bug(error, args)
        return _report(_missing(error), args)
    except KeyboardInterrupt:
        return _report_cancelled()
    except MemoryError as error:
        sys.stderr.write(f"pluginkit: out of memory. {printable(str(error))}\n")
        return FAILED
    except OSError as error:
        return _report_system(error, args)
    except SystemExit as error:  # a plugin's method may end the process
        if isinstance(error.__context__, BrokenPipeError):  # or rich, whose reader has gone
            raise
        return _report_bug(error, args)
    except Exception as error:
        return _report_bug(error, args)


def report_crash(error: CrashError) -> int:
    """Report that the process of the command has crashed; return the exit code."""
    return _report(error, _parser().parse_args())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pluginkit",
        description="TensorRT custom plugins in Python: ONNX rewrites, engines, checks.",
        epilog="exit codes: 0 done, 1 the work failed, 2 bad usage or input, 130 Ctrl-C",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {pluginkit.__version__}")
    commands = parser.add_subparsers(metavar="command", required=True)
    for name, summary in COMMANDS.items():
        module = importlib.import_module(f"pluginkit.cli.commands.{name}")
        command = commands.add_parser(
            name, help=summary, description=module.__doc__, formatter_class=_Formatter
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


class _Formatter(argparse.HelpFormatter):
    """Folds paragraphs at the terminal's width, and no option at a hyphen in its name."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = (self._split_lines(part, width) for part in text.strip().split("\n\n"))
        return "\n\n".join("\n".join(indent + line for line in lines) for lines in paragraphs)


def _report(error: PluginkitError, args: argparse.Namespace) -> int:
    from pluginkit.cli.found_classes import explain_with_broken_modules
    from pluginkit.cli.terminal_output import print_json

    explain_with_broken_modules(error, args)
    if args.verbose:
        traceback.print_exception(error)
    if getattr(args, "json", False) is True:  # bench takes a file as well
        fields = ("code", "message", "where", "cause", "fix")
        print_json({"error": {name: getattr(error, name) for name in fields}})
    sys.stderr.write("\n".join(map(printable, str(error).split("\n"))) + "\n")
    return BAD_INPUT if isinstance(error, _INPUT_ERRORS) else FAILED


def _report_cancelled() -> int:
    sys.stderr.write("pluginkit: cancelled.\n")
    return INTERRUPTED


def _missing(error: ModuleNotFoundError) -> MissingDependencyError:
    missing = MissingDependencyError(
        "PK620",
        f"Python package '{error.name}' is not installed; it is needed here.",
        fix=f"{pip_install()}, which brings what it needs; see pluginkit doctor.",
    )
    missing.__cause__ = error
    return missing


def _report_system(error: OSError, args: argparse.Namespace) -> int:
    """Report that the system refuses to go on, which is no bug; a closed pipe needs no word."""
    if not isinstance(error, BrokenPipeError):
        if error.errno not in _REFUSED:
            return _report_bug(error, args)
        if args.verbose:
            traceback.print_exception(error)
        where = f" {error.filename}" if error.filename else ""
        sys.stderr.write(
            f"pluginkit: the system refuses to go on:{printable(where)} {error.strerror}.\n"
            f"  Fix:   {_REFUSED[error.errno]}\n"
        )
    try:
        sys.stdout.flush()
    except OSError:  # Python would write what is left once more at exit, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def _report_bug(error: Exception | SystemExit, args: argparse.Namespace) -> int:
    fix = "run again with -v for the traceback."
    if args.verbose:
        traceback.print_exception(error)
        fix = "report it with the traceback above."
    what = printable(f"{type(error).__name__}: {error}")
    sys.stderr.write(
        f"pluginkit: this is a bug in pluginkit or in a plugin: {what}\n  Fix:   {fix}\n"
    )
    return FAILED
