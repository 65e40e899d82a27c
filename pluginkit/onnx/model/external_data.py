"""Check tensors whose data is in an external file; read only those that are no weights."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import onnx.helper

from pluginkit.errors import ModelError
from pluginkit.onnx.model.graphs import is_op, scopes, tensors
from pluginkit.onnx.model.structure import RE_EXPORT

#: Tensors of up to this many elements are read.
_SMALL = 256
#: The numpy types of tensors whose elements are whole bytes.
_WHOLE_BYTES: dict[int, str] = {
    onnx.helper.np_dtype_to_tensor_dtype(np.dtype(name)): name
    for name in (
        *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
        *("float16", "float32", "float64"),
    )
}


def is_external(tensor: onnx.TensorProto) -> bool:
    """Whether the tensor's data is in an external file."""
    return tensor.data_location == onnx.TensorProto.EXTERNAL


def _external_entry(tensor: onnx.TensorProto, key: str) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == key), "")


def external_files(model: onnx.ModelProto) -> list[str]:
    """Return the files of the model's external data, relative to its folder, sorted."""
    return sorted(
        {_external_entry(tensor, "location") for tensor in tensors(model) if is_external(tensor)}
    )


def store_external_constants(model: onnx.ModelProto) -> None:
    """Turn Constant nodes whose data is in an external file into initializers.

    onnx looks for the file of a Constant node in the working directory instead of the model's
    folder. Local functions, which have no initializers, are left.
    """
    for scope in scopes(model):
        graph = scope.graph
        if not isinstance(graph, onnx.GraphProto):
            continue
        for at in reversed(range(len(graph.node))):
            node = graph.node[at]
            if not is_op(node, "Constant") or not node.attribute:
                continue
            if is_external(node.attribute[0].t):
                graph.initializer.append(node.attribute[0].t)
                graph.initializer[-1].name = node.output[0]
                del graph.node[at]


def check_external(tensor: onnx.TensorProto, path: Path) -> None:
    """Check that a tensor's data exists, is long enough, and is inside the model's folder.

    Args:
        tensor: a tensor with external data.
        path: the model's file.

    Errors:
        PK404: the data is missing or too short.  PK405: it is outside the folder.
    """
    where = f"tensor '{tensor.name}' in {path}"
    for text in (text for entry in tensor.external_data for text in (entry.key, entry.value)):
        if isinstance(text, bytes):  # protobuf gives bytes if it is not UTF-8
            raise ModelError(
                "PK404",
                f"external data has an entry {text!r}, which is not UTF-8; expected text.",
                where=where,
                fix=RE_EXPORT,
            )
    location = _external_entry(tensor, "location")
    folder = path.parent.resolve()
    target = folder / location
    if not location or Path(location).is_absolute() or not _is_inside(target, folder):
        raise ModelError(
            "PK405",
            f"external data '{location}' is outside the model's folder; expected a path inside it.",
            where=where,
            cause="a model could read any file that way; onnx and ONNX Runtime refuse it too.",
            fix="move the data into the model's folder and save the model with the new location.",
        )
    if not target.is_file():
        raise ModelError(
            "PK404",
            f"external data '{location}' is missing; expected it in the model's folder.",
            where=where,
            fix=f"copy the file to {target}.",
        )
    offset, length = (_byte_count(tensor, key, where) for key in ("offset", "length"))
    size, least = target.stat().st_size, _least_bytes(tensor)
    end = offset + (length or least)
    if end > size or end < offset + least:
        raise ModelError(
            "PK404",
            f"external data '{location}' has {min(size, end)} bytes; expected at least "
            f"{offset + max(length, least)}.",
            where=where,
            fix="copy the whole file again.",
        )


def check_stored(tensor: onnx.TensorProto, path: Path) -> None:
    """Check that a tensor whose data is in the model's file has bytes for all of its elements.

    Args:
        tensor: a tensor without external data.
        path: the model's file.

    Errors:
        PK408: there are too few.
    """
    least = _least_bytes(tensor)
    if tensor.HasField("raw_data") and len(tensor.raw_data) < least:
        raise ModelError(
            "PK408",
            f"tensor '{tensor.name}' has {len(tensor.raw_data)} bytes; expected {least} of "
            f"{list(tensor.dims)} elements.",
            where=str(path),
            fix=RE_EXPORT,
        )


def _least_bytes(tensor: onnx.TensorProto) -> int:
    """Return the bytes of a tensor's elements; 0 if they are no whole bytes, or not known."""
    dtype = _WHOLE_BYTES.get(tensor.data_type)
    return 0 if dtype is None else max(math.prod(tensor.dims), 0) * np.dtype(dtype).itemsize


def read_small(tensor: onnx.TensorProto, path: Path) -> None:
    """Read a tensor of at most one axis and 256 elements from its file into the model.

    It may be a shape, an axis or a zero point, which rewrites and shape inference have to know.

    Args:
        tensor: a tensor that ``check_external`` has checked.
        path: the model's file.
    """
    is_known = tensor.data_type in _WHOLE_BYTES
    if not is_known or len(tensor.dims) > 1 or math.prod(tensor.dims) > _SMALL:
        return
    with (path.parent / _external_entry(tensor, "location")).open("rb") as file:
        file.seek(int(_external_entry(tensor, "offset") or 0))
        tensor.raw_data = file.read(_least_bytes(tensor))
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")


def _is_inside(target: Path, folder: Path) -> bool:
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            target.stat()
        return target.resolve().is_relative_to(folder)
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a loop of links
        return False


def _byte_count(tensor: onnx.TensorProto, key: str, where: str) -> int:
    text = _external_entry(tensor, key) or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelError(
            "PK404",
            f"external data has {key} '{text[:40]}'; expected a number of bytes.",
            where=where,
            fix=RE_EXPORT,
        )
    return int(text)
