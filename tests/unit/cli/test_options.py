import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pluginkit.cli.options import load_arrays
from pluginkit.errors import UsageError


def archive(content: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("x.npy", content)
    return buffer.getvalue()


def array(header: str) -> bytes:
    head = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head


HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,)}"


def damaged_stream() -> bytes:
    content = bytearray(archive(bytes(range(256)) * 40, zipfile.ZIP_DEFLATED))
    content[40:60] = b"\xff" * 20
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK",
     archive(array("{'descr': '<f4', 'shape': ((")), archive(array(HUGE)), damaged_stream(),
     archive(b"\x93NUMPY\x01\0\xff\xff")],
    ids=["empty", "cut", "header", "huge", "stream", "short"],
)  # fmt: skip
def test_a_damaged_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "in.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="PK610"):
        load_arrays(path)


def test_a_pipe_is_refused_and_an_archive_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="PK610.*no regular file"):
        load_arrays(tmp_path / "pipe")
    np.savez(tmp_path / "in.npz", x=np.arange(3))
    assert load_arrays(tmp_path / "in.npz")["x"].tolist() == [0, 1, 2]
