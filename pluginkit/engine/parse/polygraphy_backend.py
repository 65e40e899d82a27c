"""Bind Polygraphy to one TensorRT flavour, and capture the log of both for error messages."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pluginkit.errors import MissingDependencyError
from pluginkit.trt.flavour import Flavour

#: TensorRT adds this to any error on a machine without a GPU; it explains nothing.
_NOISE = "cudaError 35"


def bind_polygraphy(flavour: Flavour) -> None:
    """Make Polygraphy use ``flavour``; call this before the first use of Polygraphy's ``trt``.

    Errors:
        PK514: Polygraphy uses another flavour in this process already, or cannot use this one.
    """
    from polygraphy import config

    if flavour.name == "tensorrt_lean":
        raise MissingDependencyError(
            "PK514",
            "Polygraphy cannot use tensorrt_lean; expected tensorrt or tensorrt_rtx.",
            fix="choose another with --tensorrt or PLUGINKIT_TENSORRT.",
        )
    is_rtx = flavour.name == "tensorrt_rtx"
    if is_rtx != config.USE_TENSORRT_RTX and "polygraphy.backend.trt" in sys.modules:
        raise MissingDependencyError(
            "PK514",
            f"Polygraphy uses another TensorRT in this process; expected {flavour.name}.",
            fix="use one flavour in a process.",
        )
    config.USE_TENSORRT_RTX = is_rtx


class _Collector(logging.Handler):
    def __init__(self, verbose: bool) -> None:
        super().__init__()
        self.errors: list[str] = []
        self.verbose = verbose

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if self.verbose:
            sys.stderr.write(message + "\n")
        if record.levelno >= logging.ERROR:
            self.errors.append(message.removeprefix("[E] ").removeprefix("[!] "))


@contextmanager
def captured_log(*, verbose: bool = False) -> Iterator[list[str]]:
    """Collect the errors that Polygraphy and TensorRT log in the body; yield the list, which grows.

    Args:
        verbose: whether to print the whole log, down to TensorRT's INFO, to stderr.
    """
    from polygraphy.logger import G_LOGGER

    logger = logging.getLogger("Polygraphy")
    collector = _Collector(verbose)
    old = (G_LOGGER.use_python_logging_system, G_LOGGER.colors, logger.propagate, logger.level)
    logger.addHandler(collector)
    logger.propagate = False
    logger.setLevel(1)
    G_LOGGER.use_python_logging_system = True
    G_LOGGER.colors = False
    try:
        with (
            warnings.catch_warnings(),
            G_LOGGER.verbosity(G_LOGGER.VERBOSE if verbose else G_LOGGER.ERROR),
        ):
            # Polygraphy always makes a timing cache, which TensorRT-RTX deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            yield collector.errors
    finally:
        logger.removeHandler(collector)
        (
            G_LOGGER.use_python_logging_system,
            G_LOGGER.colors,
            logger.propagate,
            logger.level,
        ) = old


def meaningful(errors: list[str]) -> str:
    """Return the errors as text without repetitions, and without noise if there are others."""
    unique = list(dict.fromkeys(errors))
    return "\n".join([error for error in unique if _NOISE not in error] or unique)
