"""The files that are published. ``.ci/run`` builds them and names their folder."""

import os
import re
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIST = os.environ.get("PLUGINKIT_DIST", "")

pytestmark = pytest.mark.skipif(not DIST, reason="PLUGINKIT_DIST names no folder of built packages")


@pytest.fixture
def wheel() -> zipfile.ZipFile:
    (path,) = Path(DIST).glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture
def sdist() -> tarfile.TarFile:
    (path,) = Path(DIST).glob("*.tar.gz")
    return tarfile.open(path)


def metadata_of(wheel: zipfile.ZipFile) -> Message:
    (name,) = (each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
    return message_from_bytes(wheel.read(name))


def test_no_link_of_the_page_needs_the_repository_beside_it(wheel: zipfile.ZipFile) -> None:
    found = metadata_of(wheel)
    page = str(found.get_payload())
    assert found["Description-Content-Type"].startswith("text/markdown")
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert len(links) > 20
    assert [link for link in links if not link.startswith("https://")] == []
    assert page.count("/raw/v") == (ROOT / "README.md").read_text().count("![")
    assert {url.split(",")[0] for url in found.get_all("Project-URL", [])} >= {"Source", "Issues"}


def test_the_sdist_says_the_same(wheel: zipfile.ZipFile, sdist: tarfile.TarFile) -> None:
    file = sdist.extractfile(next(n for n in sdist.getnames() if n.count("/") == 1 and "PKG" in n))
    assert file is not None
    found = message_from_bytes(file.read())
    assert found.get_payload() == metadata_of(wheel).get_payload()
    assert found.get_all("Project-URL") == metadata_of(wheel).get_all("Project-URL")


def test_the_wheel_has_what_is_no_module(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    kernels = {
        f"pluginkit/{path.relative_to(ROOT)}"
        for path in (ROOT / "plugins").rglob("*")
        if path.suffix in (".cu", ".cuh")
    }
    assert len(kernels) > 10
    assert kernels <= names
    assert {
        "pluginkit/py.typed",
        "pluginkit/kernels/enqueue.ll",
        "pluginkit/docs/errors.md",
        "pluginkit/examples/sage_dyn.onnx",
    } <= names
    outside = [name for name in names if not re.match(r"(pluginkit/|[\w.-]+\.dist-info/)", name)]
    assert outside == []
