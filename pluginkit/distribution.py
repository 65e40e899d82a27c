"""The package's name on the package index, and a check that no other package took its files.

The import is ``pluginkit`` and the distribution is ``tensorrt-pluginkit``: on the package index,
``pluginkit`` is another project, which installs a folder of the same name.
"""

from __future__ import annotations

from pathlib import Path

DISTRIBUTION = "tensorrt-pluginkit"


def pip_install(extra: str | None = None) -> str:
    """Return the command that installs pluginkit, with one of its extras if named.

    >>> pip_install("cuda")
    "pip install 'tensorrt-pluginkit[cuda]'"
    """
    return f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install {DISTRIBUTION}"


def refuse_name_clash(site_packages: Path = Path(__file__).parent.parent) -> None:
    """Raise ImportError where the other ``pluginkit`` is installed in the same folder.

    Both write ``pluginkit/__init__.py``, so one of the two is broken. In a checkout the folder
    holds no installed distributions, and nothing is refused.
    """
    for other in sorted(site_packages.glob("pluginkit-*.dist-info")):
        raise ImportError(
            f"another package named 'pluginkit' ({other.name.removesuffix('.dist-info')}) is "
            f"installed in {site_packages} and shares the folder pluginkit/ with {DISTRIBUTION}. "
            f"Fix: pip uninstall -y pluginkit && pip install --force-reinstall --no-deps "
            f"{DISTRIBUTION}"
        )
