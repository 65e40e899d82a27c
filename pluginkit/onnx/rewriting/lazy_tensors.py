"""Make onnx-graphsurgeon tensors of a model's values, part by part as they are asked for.

The constructor of ``gs.Tensor`` fills every part, which takes longer than all else that matching a
pattern does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.importers.onnx_importer import OnnxImporter, get_numpy_type
from onnx_graphsurgeon.ir.tensor import LazyValues
from onnx_graphsurgeon.util.misc import SynchronizedList

from pluginkit.onnx.inference.value_types import axis_sizes

_T = TypeVar("_T")
#: The field of a node that holds the tensor, for each list of nodes that a tensor has.
_OPPOSITE = {"inputs": "outputs", "outputs": "inputs"}


class UnreadableError(Exception):
    """A matched node, or a constant that it reads, is damaged."""


def read(convert: Callable[..., _T], *args: Any) -> _T:
    """Convert a protobuf.

    Errors:
        UnreadableError: ``convert`` raised anything. onnx and onnx-graphsurgeon have no exception
            class for damaged protobufs.
    """
    try:
        return convert(*args)
    except Exception as error:
        raise UnreadableError(str(error)) from error


def variable(name: str, value_type: onnx.TypeProto | None) -> gs.Variable:
    """Make the tensor of a value that is computed, or whose data is in an external file."""
    if value_type is not None and value_type.HasField("tensor_type"):
        return _Variable(name, value_type)
    info = onnx.ValueInfoProto(name=name, type=value_type or onnx.TypeProto())
    return OnnxImporter.import_tensor(info)


def constant(name: str, stored: onnx.TensorProto) -> gs.Constant:
    """Make the tensor of a value that the model stores."""
    return _Constant(name, stored)


def attributes_of(attributes: Sequence[onnx.AttributeProto]) -> dict[str, Any]:
    """Convert attributes, which must not be graphs, to graphsurgeon's values."""
    return dict(OnnxImporter.import_attributes(attributes, {}, {}, None, None))


@cache
def _gs_dtype(elem_type: int) -> Any:
    """Return numpy's dtype, or the ONNX number of a type that numpy lacks."""
    return get_numpy_type(elem_type) or elem_type or None


class _Lazy:
    def __getattr__(self, name: str) -> Any:
        # gs.Tensor.__setattr__ would ask for the old value first.
        self.__dict__[name] = self._make(name)
        return self.__dict__[name]

    def _make(self, name: str) -> Any:
        if name in _OPPOSITE:
            return SynchronizedList(self, _OPPOSITE[name], [])
        raise AttributeError(name)


class _Variable(_Lazy, gs.Variable):  # type: ignore[misc]
    def __init__(self, name: str, value_type: onnx.TypeProto) -> None:
        self.__dict__.update(name=name, type="tensor_type", _value_type=value_type)

    def _make(self, name: str) -> Any:
        if name == "dtype":
            return _gs_dtype(self._value_type.tensor_type.elem_type)
        if name != "shape":
            return super()._make(name)
        return axis_sizes(self._value_type)


class _Constant(_Lazy, gs.Constant):  # type: ignore[misc]
    def __init__(self, name: str, stored: onnx.TensorProto) -> None:
        location = stored.data_location if stored.HasField("data_location") else None
        self.__dict__.update(name=name, data_location=location, _export_dtype=None, _stored=stored)

    def _make(self, name: str) -> Any:
        return read(LazyValues, self._stored) if name == "_values" else super()._make(name)
