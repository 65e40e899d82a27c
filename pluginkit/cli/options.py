"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluginkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]


def add_common(parser: argparse.ArgumentParser, *, has_report: bool = True) -> None:
    """Add ``-v``, and ``--json`` for a command that reports."""
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="print logs and tracebacks to stderr"
    )
    if has_report:
        parser.add_argument("--json", action="store_true", help="print the report as JSON")


def add_discovery(parser: argparse.ArgumentParser, *, rewrites: bool = True) -> None:
    """Add ``--plugins`` and, for commands that rewrite, ``--rewrites``."""
    parser.add_argument(
        "--plugins",
        action="append",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="a folder of plugins, in addition to the installed ones; its code is executed",
    )
    if rewrites:
        parser.add_argument(
            "--rewrites",
            action="append",
            type=Path,
            default=[],
            metavar="FOLDER",
            help="a folder of rewrites, in addition to the installed ones; its code is executed",
        )


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add ``--only``, ``--skip`` and ``--with``, for commands that rewrite."""
    for option, target, what in (
        ("--only", "only", "apply this rewrite only"),
        ("--skip", "skip", "leave this rewrite out"),
        ("--with", "also", "apply this opt-in rewrite as well"),
    ):
        parser.add_argument(
            option, dest=target, action="append", default=[], metavar="REWRITE", help=what
        )


def add_flavour(parser: argparse._ActionsContainer) -> None:
    """Add ``--tensorrt``."""
    parser.add_argument(
        "--tensorrt",
        metavar="FLAVOUR",
        help="tensorrt, tensorrt_rtx or tensorrt_lean "
        "(default: PLUGINKIT_TENSORRT, else the first that is installed)",
    )


def add_allow_host_code(parser: argparse._ActionsContainer, also: str = "") -> None:
    """Add ``--allow-host-code``, for commands that load plans."""
    parser.add_argument(
        "--allow-host-code",
        action="store_true",
        help="execute the library that a plan holds also where the manifest does not describe it"
        f"{also}; TensorRT's engineHostCodeAllowed",
    )


def add_compute_capability(
    parser: argparse.ArgumentParser,
    what: str = "a GPU to build for, as in 8.9",
    default: str = "this machine's GPU, else 8.6, 8.9 and 12.0",
) -> None:
    """``--compute-capability``, for commands that compile for GPUs."""
    parser.add_argument(
        "--compute-capability",
        action="append",
        default=[],
        metavar="CC",
        help=f"{what}; repeat it or join with commas (default: {default})",
    )


def compute_capabilities(args: argparse.Namespace) -> list[tuple[int, int]]:
    """What ``--compute-capability`` names.

    Errors:
        PK512: one is malformed.
    """
    from pluginkit.engine.build.compute_capabilities import parse_capability

    texts = [text for given in args.compute_capability for text in given.split(",")]
    return [parse_capability(text) for text in texts]


def add_shapes(parser: argparse.ArgumentParser, purpose: str = "") -> None:
    """Add ``--shapes``, for commands that rewrite or build."""
    parser.add_argument(
        "--shapes",
        action="append",
        default=[],
        metavar="NAME:MIN,OPT,MAX",
        help=f"the range of a dynamic input{purpose}, as in x:1x16,64x16,1024x16; one shape stands "
        "for all three; ? leaves a dimension to the model or its default; a slash begins the range "
        "of the next optimization profile",
    )


def bytes_from_text(text: str) -> int:
    """Read ``"512M"`` as a number of bytes, for argparse; K, M and G are powers of 1024."""
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    factors = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
    if not _is_number(number) or unit not in factors or int(number) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of bytes, as in 512M or 2G")
    return int(number) * factors[unit]


def positive_int(text: str) -> int:
    """Read a count of at least 1, for argparse."""
    if not _is_number(text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an ``.npz`` file by name.

    Errors:
        PK610: there is no such file, it is no ``.npz`` file, or it holds pickled objects.
    """
    import struct
    import tokenize
    import zipfile
    import zlib

    import numpy as np

    from pluginkit.atomic_files import open_file

    try:
        with open_file(path) as file:
            arrays = np.load(file, allow_pickle=False)
            if not hasattr(arrays, "files"):
                raise ValueError("it holds one array without a name")
            return {name: arrays[name] for name in arrays.files}
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        MemoryError,
        RuntimeError,  # an archive with a password, or of an unknown compression
        SyntaxError,
        struct.error,
        tokenize.TokenError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            "PK610",
            f"inputs '{path}' cannot be read: {reason}.",
            fix="write it with numpy.savez('inputs.npz', x=..., ...), one array for each input.",
        ) from error


def load_input_sets(path: Path) -> list[dict[str, npt.NDArray[Any]]]:
    """Return the arrays of an ``.npz`` file, or of each one in a folder, in the files' order.

    Errors:
        PK610: there is none, or one cannot be read.
    """
    if not path.is_dir():
        return [load_arrays(path)]
    found = [load_arrays(each) for each in sorted(path.glob("*.npz"))]
    if not found:
        raise UsageError(
            "PK610",
            f"folder '{path}' holds no .npz file; expected one for each set of inputs.",
            fix="write them with numpy.savez('inputs/0.npz', x=..., ...).",
        )
    return found
