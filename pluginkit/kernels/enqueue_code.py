"""Compile what runs enqueues without Python, once in a process."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pluginkit.kernels.cuda_packages import need

#: The words of a vtable's copy before what belongs to its adapter; TensorRT's have fewer functions.
VTABLE_SLOTS = 48

_RUN = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 5)


@dataclass(frozen=True)
class EnqueueCode:
    """The functions of enqueue.ll.

    Attributes:
        run: gets the addresses of a program, of the pointers to inputs and to outputs, the
            workspace and the stream; returns 0 or the driver's status.
        enqueue_address: the address of TensorRT's ``enqueue``.
    """

    run: Callable[..., int]
    enqueue_address: int


@cache
def enqueue_code() -> EnqueueCode:
    """Return the machine code for this processor.

    Errors:
        PK310: llvmlite is not installed.
    """
    llvm = need("llvmlite.binding")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    source = Path(__file__).with_name("enqueue.ll").read_text()
    module = llvm.parse_assembly(source.replace("SLOTS", str(VTABLE_SLOTS)))
    engine = llvm.create_mcjit_compiler(
        module, llvm.Target.from_default_triple().create_target_machine()
    )
    engine.finalize_object()
    keep_for_ever(engine)
    return EnqueueCode(
        _RUN(engine.get_function_address("run")), engine.get_function_address("enqueue")
    )


def keep_for_ever(owner: object) -> None:
    """Take a reference that nobody gives back, so that not even the interpreter's exit frees it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))


def keep_no_longer(owner: object) -> None:
    """Give back the reference that ``keep_for_ever`` took."""
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(owner))
