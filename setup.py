"""Finds the packages, and writes the page of the package index.

plugins/, graph_rewrites/, docs/errors.md and a small model install inside pluginkit.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
INSIDE = {"pluginkit.plugins": "plugins", "pluginkit.graph_rewrites": "graph_rewrites"}
FILES = {"pluginkit.docs": "docs", "pluginkit.examples": "examples/models"}
#: Mark, text and target of a picture or a link to a file of the repository.
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)]+)\)")


def repository() -> str:
    """Return the repository's address, which a forge tells where it builds; elsewhere ""."""
    server, name = (os.environ.get(f"GITHUB_{part}") for part in ("SERVER_URL", "REPOSITORY"))
    return f"{server}/{name}" if server and name else ""


def long_description(address: str) -> str:
    """Return README.md for the package index, where no files lie beside it.

    Pictures and links get the address of the release's files. Without an address pictures are left
    out, and links become their text.
    """

    def absolute(link: re.Match[str]) -> str:
        mark, text, target = link.groups()
        if not address:
            return "" if mark else text
        return f"{mark}[{text}]({address}/{'raw' if mark else 'blob'}/v{VERSION}/{target})"

    return LINK.sub(absolute, (ROOT / "README.md").read_text(encoding="utf-8"))


def project_urls(address: str) -> dict[str, str]:
    """Return what the package index lists beside the page."""
    if not address:
        return {}
    files = f"{address}/blob/v{VERSION}"
    return {
        "Source": address,
        "Documentation": f"{files}/docs/index.md",
        "Changelog": f"{files}/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }


class BuildModules(build_py):
    """Takes no modules from the folders that pluginkit has single files of."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Return the modules of a package, as (package, module, file)."""
        return [] if package in FILES else super().find_package_modules(package, package_dir)


packages = find_packages(include=["pluginkit", "pluginkit.*"])
for package, folder in INSIDE.items():
    packages += [package, *(f"{package}.{name}" for name in find_packages(folder))]

setup(
    packages=[*packages, *FILES],
    package_dir={**INSIDE, **FILES},
    cmdclass={"build_py": BuildModules},
    long_description=long_description(repository()),
    long_description_content_type="text/markdown",
    project_urls=project_urls(repository()),
)
