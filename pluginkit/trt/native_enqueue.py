"""Let TensorRT run what is prepared without calling Python.

TensorRT's bindings make a C++ object for an adapter, whose ``enqueue`` takes Python's lock, makes
lists of the pointers and calls the adapter. That takes half of a launch, and waits for every other
thread that runs Python. So the object gets a copy of its vtable in which ``enqueue`` is that of
enqueue.ll, followed by what this needs. It calls the adapter where nothing is prepared.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from typing import Any

from pluginkit.contract.dims import Shape, known
from pluginkit.kernels.enqueue_code import VTABLE_SLOTS, enqueue_code, keep_for_ever, keep_no_longer
from pluginkit.kernels.prepare import Prepared, PreparedSteps
from pluginkit.trt.flavour import Flavour

_WORD = 8
#: The words before a vtable's first function: the offset to the top of the object, and its type.
_BEFORE = 2
#: The size of a PluginTensorDesc, and where its dimensions are: after their number.
_DESC_BYTES, _FIRST_DIMENSION = 88, 8
#: The ABI of TensorRT's bindings, which pybind11 compares before it hands out an address.
_ABI = b"system_libstdcpp_gxx_abi_1xxx_use_cxx11_abi_1"
#: The place of enqueue in the vtable of IPluginV2DynamicExt, by the major version.
_V2_SLOTS = {10: 29, 11: 27}


class _TypeInfo(ctypes.Structure):
    """As much of a ``std::type_info`` as tells types apart."""

    _fields_ = [("vtable", ctypes.c_void_p), ("name", ctypes.c_char_p)]


_new_capsule = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p
)(("PyCapsule_New", ctypes.pythonapi))
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def _cpp_address(adapter: Any, mangled: bytes) -> int | None:
    """Return the address of an adapter's C++ object of a class, or None if it is not to be had.

    pybind11 has this method for other C++ bindings.
    """
    conduit = getattr(adapter, "_pybind11_conduit_v1_", None)
    if conduit is None:
        return None
    info = _TypeInfo(None, mangled)
    wanted = _new_capsule(ctypes.addressof(info), b"St9type_info", None)
    found = conduit(_ABI, wanted, b"raw_pointer_ephemeral")
    return None if found is None else _capsule_pointer(found, mangled)


class NativeEnqueue:
    """The enqueue of one adapter's C++ object.

    Args:
        address: the address of the object, or None to leave every enqueue to Python.
        slot: the place of ``enqueue`` in its vtable.
        compares_shapes: whether shapes may differ from the prepared ones without notice.

    Attributes:
        place: the address and the slot.
    """

    def __init__(self, address: int | None, slot: int, compares_shapes: bool) -> None:
        self.place = address, slot
        self._compares_shapes = compares_shapes
        self._block: array[int] | None = None
        self._own_vtable = 0
        self._used: Prepared | None = None
        self._sizes = array("Q")

    def use(self, prepared: Prepared | None, shapes: Sequence[Shape]) -> None:
        """Run what is prepared for the inputs' shapes; without a program it is Python's work."""
        program = prepared.program.address if isinstance(prepared, PreparedSteps) else 0
        address, slot = self.place
        if address is None or not (program or self._block):
            return
        block = self._block or self._replaced_vtable(address, slot)
        first = _BEFORE + VTABLE_SLOTS
        block[first] = 0
        if program:
            # Another thread may be inside of the previous one when it is released.
            self._used = prepared
            if self._compares_shapes:
                self._sizes = _sizes(shapes)
                at, count = self._sizes.buffer_info()
                block[first + 2 :] = array("Q", [count // 2, at])
            block[first] = program

    def restore(self) -> None:
        """Give the object its own vtable back, because TensorRT destroys it."""
        address, _ = self.place
        if address is None or self._block is None:
            return
        vtable = ctypes.c_uint64.from_address(address)
        if vtable.value == _first_function(self._block):  # its destructor sets others
            vtable.value = self._own_vtable
        keep_no_longer(self._block)
        self.place, self._block = (None, 0), None

    def _replaced_vtable(self, address: int, slot: int) -> array[int]:
        vtable = ctypes.c_uint64.from_address(address)
        words = ctypes.c_uint64 * (_BEFORE + VTABLE_SLOTS)
        known = words.from_address(vtable.value - _BEFORE * _WORD)
        enqueue = _BEFORE + slot
        self._block = block = array("Q", [*known, 0, known[enqueue], 0, 0])
        block[enqueue] = enqueue_code().enqueue_address
        keep_for_ever(block)  # until TensorRT destroys the object, which Python may forget before
        self._own_vtable = vtable.value
        vtable.value = _first_function(block)
        return block


def _first_function(block: array[int]) -> int:
    return block.buffer_info()[0] + _BEFORE * _WORD


def _sizes(shapes: Sequence[Shape]) -> array[int]:
    """Return a Size of enqueue.ll for each dimension."""
    words: list[int] = []
    for number, shape in enumerate(shapes):
        for axis, size in enumerate(shape):
            words += (number * _DESC_BYTES + _FIRST_DIMENSION + axis * _WORD, known(size))
    return array("Q", words)


def native_v3(adapter: Any) -> NativeEnqueue:
    """Return the enqueue of an IPluginV3, whose slot is that of this version of the interface."""
    address = _cpp_address(adapter, b"N8nvinfer15v_1_019IPluginV3OneRuntimeE")
    return NativeEnqueue(address, 6, compares_shapes=False)


def native_v2(adapter: Any, flavour: Flavour) -> NativeEnqueue:
    """Return the enqueue of an IPluginV2DynamicExt."""
    slot = _V2_SLOTS.get(11 if flavour.name == "tensorrt_rtx" else flavour.version_info[0])
    address = None
    if slot is not None:
        address = _cpp_address(adapter, b"N8nvinfer119IPluginV2DynamicExtE")
    return NativeEnqueue(address, slot or 0, compares_shapes=True)
