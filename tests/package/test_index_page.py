"""The package index shows the README with addresses in the place of files."""

import re
import runpy
import sys
import types
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RELATIVE = re.compile(r"\]\((?!https?://)[^)]*\)")


def metadata(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Any]:
    """What setup.py hands to setuptools, which need not be installed for it."""
    found: dict[str, Any] = {}
    fake = types.ModuleType("setuptools")
    fake.find_packages = lambda *_, **__: []  # type: ignore[attr-defined]
    fake.setup = lambda **given: found.update(given)  # type: ignore[attr-defined]
    build_py = types.ModuleType("setuptools.command.build_py")
    build_py.build_py = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "setuptools", fake)
    monkeypatch.setitem(sys.modules, "setuptools.command.build_py", build_py)
    for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    runpy.run_path(str(ROOT / "setup.py"))
    return found


def test_a_forge_gives_pictures_and_links_their_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    forge = {"GITHUB_SERVER_URL": "https://forge.example", "GITHUB_REPOSITORY": "acme/kit"}
    given = metadata(monkeypatch, **forge)
    page = given["long_description"]
    assert RELATIVE.findall(README)
    assert not RELATIVE.findall(page)
    found = re.findall(r"https://forge\.example/acme/kit/(raw|blob)/v[\d.]+/([^)#]+)", page)
    assert len(found) == len(RELATIVE.findall(README))
    assert [path for kind, path in found if kind == "raw"] == re.findall(
        r"!\[[^\]]*\]\(([^)]+)\)", README
    )
    assert all((ROOT / path).exists() for _, path in found)
    assert given["project_urls"]["Issues"] == "https://forge.example/acme/kit/issues"


def test_without_an_address_no_link_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    given = metadata(monkeypatch)
    page = given["long_description"]
    assert not RELATIVE.findall(page)
    assert "![" not in page
    assert "the tutorial; its commands run as tests" in page
    assert given["project_urls"] == {}
