"""The arguments of an author's methods: tensor descriptions at build time, tensors at run time."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, Literal

from pluginkit.contract.dims import Dim, Shape, is_static, known, product
from pluginkit.contract.dtypes import DType
from pluginkit.distribution import pip_install
from pluginkit.errors import MissingDependencyError, TensorError


@dataclass(frozen=True, init=False)
class Slot:
    """Which of the pointers of an enqueue to use, plus ``offset`` bytes."""

    kind: Literal["input", "output", "workspace", "host"]
    index: int = 0
    offset: int = 0

    def __init__(
        self,
        kind: Literal["input", "output", "workspace", "host"],
        index: int = 0,
        offset: int = 0,
    ) -> None:
        # Slots, descriptions, workspaces and launches are made for every call, and a frozen
        # dataclass's own __init__ takes three times as long.
        members = self.__dict__
        members["kind"], members["index"], members["offset"] = kind, index, offset


@cache
def slot_of(kind: Literal["input", "output"], index: int) -> Slot:
    """Return the slot of an input or output; slots are made for every call, so they are kept."""
    return Slot(kind, index)


@dataclass(frozen=True, eq=False, init=False)
class TensorDesc:
    """The shape and type of one input or output.

    Attributes:
        name: the name that the plugin declares.
        shape: ints, or dimension expressions for dimensions that are known only at run time.
        dtype: the element type.
        slot: which of TensorRT's buffers holds it; kind ``"host"`` for a shape input, which has no
            buffer.
        values: the values of a shape input, as dimensions; empty for every other tensor.
        ndim: the number of dimensions.
    """

    name: str
    shape: Shape
    dtype: DType
    slot: Slot
    values: Shape = ()
    ndim: int = field(init=False, repr=False)

    def __init__(
        self, name: str, shape: Shape, dtype: DType, slot: Slot, values: Shape = ()
    ) -> None:
        members = self.__dict__
        members["name"], members["shape"], members["dtype"] = name, shape, dtype
        members["slot"], members["values"], members["ndim"] = slot, values, len(shape)

    @cached_property
    def size(self) -> Dim:
        """The number of elements."""
        return product(self.shape)

    @cached_property
    def nbytes(self) -> Dim:
        """The size in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def is_static(self) -> bool:
        """Whether every dimension, and every value of a shape input, is known now."""
        return is_static(self.shape) and is_static(self.values)

    def axis(self, axis: int) -> int:
        """Return ``axis`` counted from the front; a negative one counts from the end.

        Errors:
            PK126: the tensor has no such axis.
        """
        if not -self.ndim <= axis < self.ndim:
            raise TensorError(
                "PK126",
                f"axis {axis} of '{self.name}' is out of range; "
                f"expected {-self.ndim} to {self.ndim - 1} for rank {self.ndim}.",
            )
        return axis % self.ndim

    def reshape(self, *shape: Dim) -> TensorDesc:
        """Describe the same memory with another shape.

        Errors:
            PK129: the shape has another number of elements.
        """
        if is_static(self.shape) and is_static(shape) and self.size != product(shape):
            raise TensorError(
                "PK129", f"{self} cannot be seen as {list(shape)}; expected {self.size} elements."
            )
        return replace(self, shape=shape)

    def __str__(self) -> str:
        return f"{self.name} {self.dtype.name}[{', '.join(map(str, self.shape))}]"


_WORKSPACE = Slot("workspace")


@dataclass(frozen=True, eq=False, init=False)
class Workspace:
    """The scratch memory that ``workspace_bytes`` asked for; each enqueue finds undefined bytes."""

    nbytes: int
    slot: Slot = _WORKSPACE

    def __init__(self, nbytes: int, slot: Slot = _WORKSPACE) -> None:
        members = self.__dict__
        members["nbytes"], members["slot"] = nbytes, slot

    def at(self, offset: int) -> Workspace:
        """Return the part from byte ``offset`` to the end.

        Errors:
            PK127: the offset is out of range.
        """
        self._check(offset)
        slot = self.slot
        return Workspace(self.nbytes - offset, Slot(slot.kind, slot.index, slot.offset + offset))

    def first(self, nbytes: int) -> Workspace:
        """Return the first ``nbytes`` bytes.

        Errors:
            PK127: there are fewer.
        """
        self._check(nbytes)
        return Workspace(nbytes, self.slot)

    def split(self, sizes: Iterable[int]) -> list[Workspace]:
        """Return consecutive parts of these sizes, in bytes.

        Errors:
            PK127: there are fewer bytes.
        """
        parts, slot, end = [], self.slot, 0
        for nbytes in sizes:
            begin, end = end, end + nbytes
            self._check(nbytes)
            self._check(end)
            parts.append(Workspace(nbytes, Slot(slot.kind, slot.index, slot.offset + begin)))
        return parts

    def _check(self, offset: int) -> None:
        if not 0 <= known(offset) <= self.nbytes:
            raise TensorError(
                "PK127",
                f"workspace offset {offset} is out of range; expected 0 to {self.nbytes} bytes.",
            )


@dataclass(frozen=True, eq=False)
class DeviceTensor:
    """A contiguous tensor in GPU memory that TensorRT owns, valid during one ``enqueue``.

    Every view is zero-copy and made on demand. Work on a view belongs on the stream that
    ``enqueue`` got.
    """

    name: str
    pointer: int
    shape: tuple[int, ...]
    dtype: DType
    stream: int

    @property
    def size(self) -> int:
        """The number of elements."""
        return operator.index(product(self.shape))

    @property
    def nbytes(self) -> int:
        """The size in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self.dtype.name == "bfloat16":
            raise TensorError(
                "PK128",
                f"'{self.name}' is bfloat16, which __cuda_array_interface__ cannot describe.",
                fix="use .torch(), .cupy() or .pointer.",
            )
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.numpy.str,
            "data": (self.pointer, False),
            "strides": None,
            "stream": self.stream or 1,
        }

    def cupy(self) -> Any:
        """Return a ``cupy.ndarray`` over the same memory (bfloat16 through ml_dtypes)."""
        cupy = _import("cupy", pip_install("cuda"))
        owner = cupy.cuda.UnownedMemory(self.pointer, max(self.nbytes, 1), self)
        return cupy.ndarray(self.shape, self.dtype.numpy, cupy.cuda.MemoryPointer(owner, 0))

    def numba(self) -> Any:
        """Return a ``numba.cuda`` device array over the same memory."""
        cuda = _import("numba.cuda", pip_install("cuda"))
        return cuda.as_cuda_array(self, sync=False)

    def torch(self) -> Any:
        """Return a ``torch.Tensor`` over the same memory."""
        torch = _import("torch", "pip install torch")
        if self.size == 0:
            return torch.empty(self.shape, dtype=getattr(torch, self.dtype.name), device="cuda")
        if self.dtype.name == "bfloat16":
            raw = replace(self, dtype=_INT16)
            return torch.as_tensor(raw, device="cuda").view(torch.bfloat16)
        return torch.as_tensor(self, device="cuda")


#: How torch gets bfloat16 data, which __cuda_array_interface__ cannot describe.
_INT16 = DType("int16", 2, "", 0, "short")


def _import(module: str, fix: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            "PK310", f"{module} is not installed; it is needed here.", fix=fix
        ) from error
