"""Run a command in a child process, so that a crash in C++ ends in words and an exit code.

TensorRT's parser and builder, ONNX Runtime and the kernels of plugins can end the process that they
run in. The parent imports none of them. It waits for the child, hands signals on to it, and exits
as it did.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from mmap import mmap

from pluginkit import current_work
from pluginkit.cli import main as command_line
from pluginkit.current_work import BUILDING, DESCRIBING, DESERIALIZING, PARSING
from pluginkit.errors import CrashError

#: Signals that another process sends in order to end a command. The terminal sends its own to the
#: child as well.
_HANDED_ON = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
_CRASHES = frozenset(
    {
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGABRT,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGKILL,
    }
)
_PR_SET_PDEATHSIG = 1
#: How many objects are made before Python looks for cycles. A large model is many, and none of them
#: is in a cycle: to look every 700 objects takes a seventh of the time of ``pluginkit rewrite``.
_COLLECTED_AFTER = 100_000


def main() -> int:
    """Run the command line in a child process, or in this one where there is no fork."""
    _open_closed_streams()
    if not hasattr(os, "fork") or not hasattr(signal, "sigwaitinfo"):
        return command_line.main()
    notes = current_work.share_notes()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # its parent may ignore it; nobody could wait
    watched = {*_HANDED_ON, signal.SIGCHLD}
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    parent = os.getpid()
    gc.freeze()  # a collection would write to the pages that both share
    child = os.fork()
    if child == 0:
        gc.set_threshold(_COLLECTED_AFTER)
        _die_with(parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
        code = command_line.main()
        current_work.note_exit(code)
        return code
    code = os.waitstatus_to_exitcode(_wait(child, watched))
    if code >= 0:
        os._exit(code)  # there is nothing to clean up here, which takes Python a while
    signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
    current_work.delete_scratch()
    return _after_signal(signal.Signals(-code), notes)


def _open_closed_streams() -> None:
    """Give streams that a caller has closed to the null device.

    The next file that is opened would get the number of a closed one, and what C++ prints.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            os.dup2(opened, number)
            if opened != number:
                os.close(opened)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _die_with(parent: int) -> None:
    """Let the kernel end this process when its parent is killed, where the kernel can (Linux)."""
    import ctypes

    if hasattr(libc := ctypes.CDLL(None), "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(command_line.FAILED)


def _wait(child: int, watched: set[signal.Signals]) -> int:
    """Hand signals on to the child until it ends; return its wait status."""
    while True:
        received = signal.sigwaitinfo(watched)
        if received.si_signo != signal.SIGCHLD:
            if received.si_pid != 0:  # not the terminal, which has signalled the child too
                os.kill(child, received.si_signo)
            continue
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status


def _after_signal(number: signal.Signals, notes: mmap) -> int:
    """Return the exit code of a command whose process a signal ended."""
    noted = current_work.read_notes(notes)
    if noted[:1] == [current_work.EXITS]:  # after its work, in which it has said what there is to
        return int(noted[1])
    if number not in _CRASHES:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\n")  # a progress bar has hidden the cursor
    return command_line.report_crash(_crash(number, *noted))


def _crash(
    number: signal.Signals,
    program: str = "pluginkit",
    action: str = "running the command",
    subject: str = "",
    detail: str = "",
) -> CrashError:
    """Return the error that says what crashed, doing what."""
    cause, fix = (
        "its C++ code is at fault, or that of a plugin or library which it called; no callback and "
        "no file of pluginkit says more.",
        "report it with what the command was given.",
    )
    if number == signal.SIGKILL:
        cause = "the system ends a process like this where memory is short."
        fix = "free memory, or give smaller --shapes; in a container, allow it more memory."
    elif action in (DESCRIBING, BUILDING) and subject.endswith(".py"):
        fix = (
            "leave layers out of load_network until it builds, which says which of them crashes; "
            "report it to NVIDIA."
        )
    elif action == BUILDING:
        fix = (
            "give --shapes with one size for each dimension, with which it may build. pluginkit "
            f"scan --build {subject} builds the nodes one by one in processes of their own and "
            "says which crashes; export the model without it, and report it to NVIDIA."
        )
    elif action == PARSING:
        fix = (
            f"pluginkit scan {subject} says at which node, from a process of its own; export the "
            "model without it, or write a plugin for it, and report it to NVIDIA."
        )
    elif action == DESERIALIZING:
        fix = "build the plan again, for this TensorRT and GPU; report it to NVIDIA."
    return CrashError(
        "PK527",
        f"{program} was ended by {number.name} while {action}; expected a result or an error.",
        where=", ".join(filter(None, (subject, detail))),
        cause=cause,
        fix=fix,
    )
