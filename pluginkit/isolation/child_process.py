"""Run a function in a separate Python process, and find out how the process died."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType

import pluginkit

_NOTHING: Mapping[str, str] = MappingProxyType({})


class ChildProcess:
    """A process that runs ``main(fd)`` of a module; ``fd`` is a socket to this process.

    Attributes:
        connection: this end of the socket; it raises EOFError or OSError once the process is dead.
    """

    def __init__(self, module: str, environment: Mapping[str, str] = _NOTHING) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        ours, theirs = socket.socketpair()
        root = str(Path(pluginkit.__file__).parents[1])
        path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        code = f"from {module} import main; main({theirs.fileno()})"
        with theirs:
            # With -P no module of the current folder can replace another.
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter, a module of ours
                [sys.executable, "-P", "-c", code],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env={**os.environ, "PYTHONPATH": path, **environment},
            )
        self.connection = Connection(ours.detach())

    def kill(self) -> None:
        """End the process now."""
        self._process.kill()

    def death(self) -> str:
        """Wait for the end of the process and return how it ended: ``"was killed by SIGSEGV"``."""
        code = self._process.wait()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"

    def log(self) -> list[str]:
        """Return the lines that the process wrote to stdout and stderr."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace").splitlines()

    def close(self) -> None:
        """Close the socket, which ends the process, and wait for its end."""
        self.connection.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
