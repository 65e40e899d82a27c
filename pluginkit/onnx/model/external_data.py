"""Tensors whose data is in a file of its own: checked (there, large enough, inside), never read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import onnx

from pluginkit.errors import ModelError
from pluginkit.onnx.model.graphs import tensors
from pluginkit.onnx.model.structure import RE_EXPORT


def is_external(tensor: onnx.TensorProto) -> bool:
    """Whether the tensor's data is in a file of its own."""
    return tensor.data_location == onnx.TensorProto.EXTERNAL


def _external_entry(tensor: onnx.TensorProto, key: str) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == key), "")


def external_files(model: onnx.ModelProto) -> list[str]:
    """The files that hold the model's external data, relative to its folder, sorted."""
    return sorted(
        {_external_entry(tensor, "location") for tensor in tensors(model) if is_external(tensor)}
    )


def check_external(tensor: onnx.TensorProto, path: Path) -> None:
    """Refuse external data that is missing, too short or outside the folder of the model ``path``.

    Errors:
        PK404, PK405: as for load_model.
    """
    where = f"tensor '{tensor.name}' in {path}"
    for text in (text for entry in tensor.external_data for text in (entry.key, entry.value)):
        if isinstance(text, bytes):  # as protobuf hands it over
            raise ModelError(
                "PK404",
                f"external data says {text!r}, which is no UTF-8 text; expected text.",
                where=where,
                fix=RE_EXPORT,
            )
    location = _external_entry(tensor, "location")
    folder = path.parent.resolve()
    target = folder / location
    if not location or Path(location).is_absolute() or not _is_inside(target, folder):
        raise ModelError(
            "PK405",
            f"external data '{location}' lies outside the model's folder; expected a path inside.",
            where=where,
            cause="a model could otherwise read any file; onnx and ONNX Runtime refuse it too.",
            fix="move the data beside the model and save the model with the new location.",
        )
    if not target.is_file():
        raise ModelError(
            "PK404",
            f"external data '{location}' is missing; expected it beside the model.",
            where=where,
            fix=f"copy the file to {target}.",
        )
    offset, length = (_byte_count(tensor, key, where) for key in ("offset", "length"))
    size = target.stat().st_size
    if offset + length > size:
        raise ModelError(
            "PK404",
            f"external data '{location}' has {size} bytes; expected at least {offset + length}.",
            where=where,
            fix="copy the whole file again.",
        )


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
