"""Read and write ONNX files. Weights in external files are checked, but not read."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

import onnx
import onnx.checker
import onnx.inliner
from google.protobuf.message import (  # type: ignore[import-untyped]
    DecodeError,
    EncodeError,
)

from pluginkit.atomic_files import check_name, read_file, replace_file
from pluginkit.errors import ModelError
from pluginkit.onnx.model.external_data import (
    check_external,
    check_stored,
    external_files,
    is_external,
    read_small,
)
from pluginkit.onnx.model.function_opsets import has_other_opsets, share_opset
from pluginkit.onnx.model.graphs import tensors
from pluginkit.onnx.model.model_bytes import pieces_of
from pluginkit.onnx.model.structure import RE_EXPORT, check_structure


def load_model(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file; external data stays in its files, but for small tensors of one axis.

    Args:
        path: the ``.onnx`` file.

    Errors:
        PK400: there is no such file, or it cannot be read.  PK401: it is not an ONNX model, or only
        a part of one.  PK402: it has no graph.  PK403: the graph has a cycle.  PK404: external data
        is missing or too short.  PK405: external data is outside the model's folder.  PK408: a node
        lacks an operator, an input, an output, a body or an equation, a tensor lacks bytes, a local
        function calls itself, or no opset has the number that is imported.
    """
    path = Path(path)
    model = _parse(path, _read(path))
    try:
        check_structure(model)
    except ModelError as error:
        error.where = f"{path}, {error.where}"
        raise
    for tensor in tensors(model):
        if is_external(tensor):
            check_external(tensor, path)
            read_small(tensor, path)
        else:
            check_stored(tensor, path)
    return model


def _read(path: Path) -> bytes:
    fix, name = "check the path.", path.name or path
    try:
        return read_file(path)
    except FileNotFoundError:
        message = f"model '{name}' does not exist; expected an ONNX file."
    except IsADirectoryError:
        message = f"model '{name}' is a directory; expected an ONNX file."
    except OSError as error:
        message = f"model '{name}' cannot be read: {error.strerror}."
        fix = "check the file's permissions."
    raise ModelError("PK400", message, where=str(path), fix=fix)


def _parse(path: Path, content: bytes) -> onnx.ModelProto:
    def refusal(got: str, fix: str = RE_EXPORT) -> ModelError:
        return ModelError(
            "PK401", f"'{path.name}' {got}; expected an ONNX model.", where=str(path), fix=fix
        )

    if not content:
        raise refusal("is empty")
    if content.startswith(b"version https://git-lfs"):
        raise refusal("is a Git LFS pointer", "run `git lfs pull`.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        if _is_text(content):
            raise refusal("is a text file", "pass the binary .onnx file.") from error
        raise refusal("is damaged or cut short") from error
    if not model.HasField("graph"):
        if model.ir_version == 0:
            raise refusal("is another kind of file", "pass the binary .onnx file.")
        raise ModelError(
            "PK402",
            f"'{path.name}' holds no graph; expected one with nodes and outputs.",
            where=str(path),
            fix=RE_EXPORT,
        )
    if not model.graph.output:
        raise ModelError(
            "PK402",
            f"'{path.name}' holds an empty graph; expected at least one output.",
            where=str(path),
            fix=RE_EXPORT,
        )
    if not model.opset_import:
        raise refusal("names no opset, so it is damaged or cut short")
    return model


def _is_text(content: bytes) -> bool:
    head = content[:4096]
    return all(byte in b"\t\n\r\f" or byte >= 32 for byte in head)


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with every call of a local function replaced by the function's nodes.

    Errors:
        PK408: a function calls itself, two functions have one name, or onnx cannot bring one to the
        model's version of ONNX's operators.
    """
    if has_other_opsets(model):  # the inliner would leave them
        shared = onnx.ModelProto()
        shared.CopyFrom(model)
        share_opset(shared)
        model = shared
    try:
        return onnx.inliner.inline_local_functions(model, convert_version=has_other_opsets(model))
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise ModelError(
            "PK408",
            "local functions cannot be inlined; expected a valid model.",
            cause=str(error),
            fix=RE_EXPORT,
        ) from error


def save_model(model: onnx.ModelProto, path: str | Path, source: Path) -> None:
    """Write a model, and copy its external data if it goes to another folder.

    The file is written whole or not at all. Data files are copied inside the kernel, which shares
    their blocks if the file system can. They are not linked, because onnx loads neither symbolic
    nor hard links, nor paths that leave the folder.

    Args:
        model: the model.
        path: the new ``.onnx`` file.
        source: the ``.onnx`` file that the model was loaded from, with its external data in the
            same folder. Neither is ever overwritten.

    Errors:
        PK406: the source, its data or an unrelated file would be overwritten.
        PK407: writing failed; what was written is removed.
    """
    path, source = Path(path), Path(source)
    files = external_files(model)
    try:
        content = pieces_of(model)
    except (EncodeError, ValueError) as error:
        raise ModelError(
            "PK407",
            f"'{path.name}' would exceed 2 GB; expected less.",
            where=str(path),
            cause="a protobuf cannot be larger.",
            fix="save the original with external data: onnx.save(..., save_as_external_data=True).",
        ) from error
    made: list[Path] = []
    try:
        check_name(path)
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "there is no such folder")
        _refuse_overwriting(path, source, files)
        for location in files:
            _place_data(source.parent / location, path.parent / location, made)
        replace_file(path, content)
        made.clear()
    except OSError as error:
        raise ModelError(
            "PK407",
            f"'{path.name}' cannot be written: {error.strerror}.",
            where=str(path),
            fix="check the folder, its permissions and the free space.",
        ) from error
    finally:
        for file in reversed(made):
            with suppress(OSError):
                file.rmdir() if file.is_dir() else file.unlink()


def _refuse_overwriting(path: Path, source: Path, files: list[str]) -> None:
    def refuse(file: Path, what: str, fix: str) -> None:
        raise ModelError(
            "PK406", f"'{file.name}' is {what}; it would be overwritten.", where=str(file), fix=fix
        )

    if _is_same(path, source):
        refuse(path, "the source model", "choose another output name.")
    for location in files:
        data, copy = source.parent / location, path.parent / location
        if _is_same(path, data) or path.resolve() == copy.resolve():
            refuse(path, "the model's external data", "choose another output name.")
        if copy.exists() and not _is_same(copy, data) and not _is_copy(copy, data):
            refuse(copy, "another file than the source's external data", "choose another folder.")


def _is_same(a: Path, b: Path) -> bool:
    return a.exists() and b.exists() and a.samefile(b)


def _is_copy(copy: Path, data: Path) -> bool:
    """Whether an earlier save made this copy, which has the time stamp of the original."""
    a, b = copy.stat(), data.stat()
    return (a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns)


def _place_data(data: Path, copy: Path, made: list[Path]) -> None:
    if copy.exists():
        return
    for folder in reversed([one for one in copy.parents if not one.exists()]):
        folder.mkdir(exist_ok=True)
        made.append(folder)
    made.append(copy)
    with data.open("rb") as reader, copy.open("wb") as writer:
        _copy_in_kernel(reader.fileno(), writer.fileno())
    shutil.copystat(data, copy)


def _copy_in_kernel(source: int, target: int) -> None:
    remaining = os.fstat(source).st_size
    while remaining > 0:
        try:
            count = os.copy_file_range(source, target, remaining)
        except OSError:  # these file systems cannot; the file offsets are kept
            count = os.sendfile(target, source, None, remaining)
        if count == 0:
            raise OSError(5, "the external data became shorter while it was copied")
        remaining -= count
