"""What several tests need, and several processes of pytest-xdist, made by the first of them."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that ``make`` fills, in the first process of this run that asks for it.

    Args:
        factory: gives the folder of this run.
        name: of the folder; what it holds follows from it.
        make: gets the folder, which is empty.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / f"once_{name}", base / f"once_{name}.done"
    with (base / f"once_{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()  # fails where an earlier test failed to make it
            make(folder)
            done.touch()
    return folder
