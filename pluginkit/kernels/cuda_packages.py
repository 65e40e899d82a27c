"""Import packages of the ``cuda`` extra when something needs them."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from pluginkit.distribution import pip_install
from pluginkit.errors import MissingDependencyError


def need(module: str) -> Any:
    """Import a module of the ``cuda`` extra.

    Errors:
        PK310: it is not installed.
    """
    found = sys.modules.get(module)
    # The import system takes a microsecond to say so. It alone waits for another thread's import.
    if found is not None and not getattr(getattr(found, "__spec__", None), "_initializing", False):
        return found
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            "PK310",
            f"{module} cannot be imported: {error}.",
            fix=pip_install("cuda"),
        ) from error


def numba_cuda() -> Any:
    """Return the module ``numba.cuda``, ready to compile.

    Errors:
        PK310: it is not installed.
    """
    import numpy as np

    cuda = need("numba.cuda")
    if not hasattr(np, "row_stack"):
        # numba-cuda 0.30 reads np.row_stack once, as it imports this module; numpy 2.5 has none.
        np.row_stack = np.vstack
        try:
            need("numba.cuda.np.arrayobj")
        finally:
            del np.row_stack
    return cuda
