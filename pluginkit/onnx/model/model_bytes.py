"""Serialize a model piece by piece, to save memory.

``SerializeToString`` needs two more copies of the whole model; here no piece is larger than the
largest tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import onnx
from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-untyped]

#: The largest size of a protobuf.
MAX_BYTES = 2**31 - 1
_LENGTH_DELIMITED = 2
_GRAPH = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_INITIALIZER = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number


def pieces_of(model: onnx.ModelProto) -> Iterator[bytes]:
    """Return the content of the model's file, in pieces.

    Errors:
        ValueError, EncodeError: the model exceeds MAX_BYTES. Raised before the first piece.
    """
    graph = model.graph
    if len(UnknownFieldSet(model)) or len(UnknownFieldSet(graph)):  # fields of a newer ONNX
        return iter([model.SerializeToString()])
    rest = b"".join(_fields(graph, "initializer"))
    size = len(rest) + sum(
        len(_head(_INITIALIZER, length)) + length
        for length in (tensor.ByteSize() for tensor in graph.initializer)
    )
    outside = b"".join(_fields(model, "graph"))
    whole = len(outside) + len(_head(_GRAPH, size)) + size
    if whole > MAX_BYTES:
        raise ValueError(f"the model has {whole} bytes")
    return _pieces(model, outside, rest, size)


def _pieces(model: onnx.ModelProto, outside: bytes, rest: bytes, size: int) -> Iterator[bytes]:
    yield outside
    yield _head(_GRAPH, size)
    yield rest
    for tensor in model.graph.initializer:
        content = tensor.SerializeToString()
        yield _head(_INITIALIZER, len(content))
        yield content


def _fields(message: Any, left_out: str) -> Iterator[bytes]:
    """Serialize all fields of a message but one."""
    for field, value in message.ListFields():
        if field.name == left_out:
            continue
        if field.message_type is None:
            yield type(message)(**{field.name: value}).SerializeToString()
            continue
        for each in value if isinstance(value, Sequence) else (value,):
            content = each.SerializeToString()
            yield _head(field.number, len(content))
            yield content


def _head(number: int, length: int) -> bytes:
    """Return the tag and the length that come before a field's content."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(length)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
