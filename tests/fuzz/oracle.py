"""Decide whether pluginkit has handled an input well.

An input's outcome is ``ok``, the code of a pluginkit error, or ``exit N`` for a command. Everything
else raises :class:`Violation`: another exception, a traceback or the word bug in a command's
output, an exit code that the command line does not promise, more than ``TIME_LIMIT_S`` seconds, a
file that is left over or half-written, a file opened outside the input's folder, code executed.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import struct
import sys
import tempfile
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from pluginkit.cli.main import main
from pluginkit.errors import PluginkitError

TIME_LIMIT_S = 20
EXIT_CODES = (0, 1, 2, 130)
#: Audit events that run code or another program; reading an input must not cause one.
_EXECUTING = (
    "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "pickle.find_class",
    "subprocess.Popen", "socket.connect",
)  # fmt: skip
#: The programs that pluginkit itself may execute: the process of a scan, doctor's search for CUDA,
#: and ruff for `pluginkit new`, without the current folder on its path.
_OWN = (
    "/sbin/ldconfig",
    "'-P', '-m', 'ruff', 'format', '--quiet', '--stdin-filename'",
    "pluginkit.engine.scan.scan_worker",
    "pickle.find_class ('pluginkit.engine.",
    "subprocess.Popen ('g++', ['g++', '--version']",
    "subprocess.Popen ('aarch64-linux-gnu-g++', ['aarch64-linux-gnu-g++', '--version']",
)
_IN_OPEN = 0x20
#: Errors about a rewrite, and those here have none.
_BLAMES_US = ("PK420", "PK421", "PK422", "PK424")


class Violation(Exception):  # noqa: N818  # it is what a run finds, not a mistake of the run
    """Something happened that must never happen; the text says what."""


class TimeLimitError(BaseException):
    """The time limit has passed; not an Exception, so that the tested code does not catch it."""


class Sandbox:
    """The folders of one input, and the detection of accesses outside of them.

    ``inside`` holds the input's files. ``outside`` is next to it, with files that hostile inputs
    name; opening one of them, from Python or from C++, is a violation.
    """

    def __init__(self, root: Path) -> None:
        self.inside = root / "inside"
        self.outside = root / "outside"
        self.outside.mkdir()
        for name in ("secret.bin", "weights.bin", "link.bin", "secret.plan", "secret.plan.json"):
            (self.outside / name).write_bytes(bytes(4096))
        self._seen: list[str] = []
        self._is_watching = False
        self._notified = _watch_opens(self.outside)
        # Only files that hostile inputs can name are guarded; pytest's folders, say, stay readable.
        self._guarded = f"{self.outside.resolve()}{os.sep}"
        sys.addaudithook(self._audit)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._is_watching:
            return
        if event in _EXECUTING:
            self._seen.append(f"{event} {args!r:.200}")
        elif event == "open" and isinstance(args[0], (str, bytes)):
            path = os.path.realpath(os.fsdecode(args[0]))
            if path.startswith(self._guarded) or path in ("/etc/passwd", "/etc/hostname"):
                self._seen.append(f"open {path}")
        elif event == "exec" and "/inside/" in getattr(args[0], "co_filename", ""):
            self._seen.append(f"exec {args[0].co_filename}")

    @contextlib.contextmanager
    def case(self, *, is_inside: bool = True) -> Iterator[Path]:
        """Yield an empty folder, which is the current directory unless ``is_inside`` is false."""
        _remove_tree(self.inside)
        self.inside.mkdir()
        os.chdir(self.inside if is_inside else self.outside)
        yield self.inside

    @contextlib.contextmanager
    def watched(self, made: Collection[str] = ()) -> Iterator[None]:
        """Check what one call leaves behind and opens.

        Args:
            made: the names that the call may leave in the folder; no others may be new or changed.
        """
        before = _snapshot(self.inside)
        self._seen.clear()
        _drain(self._notified)
        self._is_watching = True
        try:
            with _time_limit():
                yield
        finally:
            self._is_watching = False
        if _drain(self._notified):
            self._seen.append("open of a file outside, from C++ or Python")
        seen = [each for each in self._seen if not any(own in each for own in _OWN)]
        if seen:
            raise Violation("; ".join(dict.fromkeys(seen)))
        after = _snapshot(self.inside)
        changed = {name for name in after if before.get(name) != after[name]} - set(made)
        changed |= before.keys() - after.keys()
        if changed:
            raise Violation(f"files changed: {sorted(changed)[:5]!r:.200}")

    def call(self, function: Callable[..., Any], *args: Any, **named: Any) -> tuple[str, Any]:
        """Call a public function; return the outcome and the function's result."""
        with self.watched():
            try:
                return "ok", function(*args, **named)
            except PluginkitError as error:
                str(error).encode(errors="surrogatepass")
                if error.code in _BLAMES_US:
                    raise Violation(f"a rewrite is blamed: {error}") from error
                return error.code, None
            except TimeLimitError:
                raise Violation(f"took more than {TIME_LIMIT_S} s") from None
            except Exception as error:
                raise Violation(unexpected(error)) from error

    def command(self, argv: Sequence[str], made: Collection[str] = ()) -> str:
        """Run a command in this process; ``made`` are the files it may leave when it succeeds."""
        out, err = _Capture("strict"), _Capture("backslashreplace")
        before = _snapshot(self.inside)
        with self.watched(made), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(list(argv))
            except TimeLimitError:
                raise Violation(f"took more than {TIME_LIMIT_S} s") from None
            except BaseException as error:
                raise Violation(f"out of main: {unexpected(error)}") from error
        printed = out.text() + err.text()
        if code not in EXIT_CODES:
            raise Violation(f"exit code {code}")
        is_verbose = any(word.startswith(("-v", "--verb")) for word in argv)
        for wrong in ("Traceback", "this is a bug", "Exception ignored"):
            if wrong in printed and not (is_verbose and wrong == "Traceback"):
                raise Violation(f"printed {wrong!r}: {printed[printed.index(wrong) :][:300]}")
        if "\x1b" in printed or "\r" in printed:
            raise Violation(f"printed a control character: {printed!r:.300}")
        if code != 0 and _snapshot(self.inside) != before:
            raise Violation(f"exit code {code}, yet files changed")
        return f"exit {code}"


class _Capture(io.TextIOWrapper):
    """A text stream on top of bytes, as in a terminal, so that encoding errors show."""

    def __init__(self, errors: str) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)

    def text(self) -> str:
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined]


def unexpected(error: BaseException) -> str:
    """Return a line for an exception and its origin, equal for all inputs that raise it there."""
    frames = [
        f"{Path(frame.filename).name}:{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/pluginkit/" in frame.filename or "/plugins/" in frame.filename
    ]
    return f"{type(error).__name__} in {' > '.join(frames[-3:])}: {str(error)[:120]}"


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TimeLimitError

    old = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def _snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return every path in the folder, with what a write would change."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)  # noqa: PTH118  # names need not be text
            status = os.lstat(path)
            is_folder = name in folders
            key = os.path.relpath(path, folder)
            found[key] = (
                (0, 0, 0) if is_folder else (status.st_ino, status.st_size, status.st_mtime_ns)
            )
    return found


def _remove_tree(folder: Path) -> None:
    if not folder.exists():
        return
    for place, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(place, name))  # noqa: PTH108, PTH118
        for name in folders:
            path = os.path.join(place, name)  # noqa: PTH118
            (os.unlink if os.path.islink(path) else os.rmdir)(path)  # noqa: PTH114
    folder.rmdir()


def _watch_opens(folder: Path) -> int:
    """Return an inotify descriptor that reports files opened in the folder, even from C++."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_OPEN) < 0:
        raise OSError(ctypes.get_errno(), "inotify is needed to see what C++ opens")
    return int(descriptor)


def _drain(descriptor: int) -> int:
    """Return how many files were opened since the last call; listing the folder does not count."""
    opened = 0
    with contextlib.suppress(BlockingIOError):
        while data := os.read(descriptor, 65536):
            while data:
                _, _, _, length = struct.unpack_from("iIII", data)
                opened += length > 0
                data = data[16 + length :]
    return opened


@contextlib.contextmanager
def sandbox() -> Iterator[Sandbox]:
    """Yield a sandbox in a temporary folder; the current directory is restored at the end."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="pluginkit-fuzz-") as root:
        try:
            yield Sandbox(Path(root))
        finally:
            os.chdir(home)
            _remove_tree(Path(root) / "inside")
