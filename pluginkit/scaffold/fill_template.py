"""Fill the templates, and format Python with ruff if it is installed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from string import Template


def fill_template(template: str, **words: object) -> str:
    """Return the text of ``templates/<template>.txt`` with each ``$word`` replaced."""
    path = files("pluginkit.scaffold") / "templates" / f"{template}.txt"
    return Template(path.read_text(encoding="utf-8")).substitute(words)


def formatted(path: Path, text: str) -> str:
    """Return Python source formatted by ruff, with the configuration for ``path``.

    Without ruff the text is unchanged: the templates are in ruff's format for lines of 100 columns.
    """
    ruff = _ruff()
    if ruff is None or path.suffix != ".py":
        return text
    done = subprocess.run(  # noqa: S603  # the user's own formatter
        [*ruff, "format", "--quiet", "--stdin-filename", str(path), "-"],
        input=text,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return text if done.returncode else done.stdout


def _ruff() -> list[str] | None:
    if importlib.util.find_spec("ruff") is not None:
        # -P keeps Python from running a ruff.py in the current folder.
        return [sys.executable, "-P", "-m", "ruff"]
    on_path = shutil.which("ruff")
    return None if on_path is None else [on_path]
