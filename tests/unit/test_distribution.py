"""The name on the package index, and the clash with the other package called pluginkit."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pluginkit
from pluginkit.distribution import DISTRIBUTION, pip_install, refuse_name_clash

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_name_is_the_projects() -> None:
    assert PROJECT["name"] == DISTRIBUTION


def test_the_version_is_the_projects() -> None:
    assert PROJECT["version"] == pluginkit.__version__


def test_extras_ask_for_this_package_and_not_for_the_other() -> None:
    asked = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    own = [text for text in asked if "pluginkit" in text]
    assert own
    assert all(text.startswith(f"{DISTRIBUTION}[") for text in own)


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"]))
def test_the_command_names_the_extra(extra: str) -> None:
    assert pip_install(extra) == f"pip install 'tensorrt-pluginkit[{extra}]'"


def test_no_text_installs_the_other_package() -> None:
    files = [path for path in ROOT.rglob("*.py") if not {"build", ".git"} & set(path.parts)]
    files += [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    # Put together here, so that this test does not find itself.
    wrong = ["pip install " + "pluginkit", "pip install " + "'pluginkit"]
    found = [path for path in files if any(text in path.read_text() for text in wrong)]
    assert len(files) > 300
    assert found == []


def test_the_other_package_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tensorrt_pluginkit-0.1.0.dist-info").mkdir()
    refuse_name_clash(tmp_path)
    (tmp_path / "pluginkit-0.2.0.dist-info").mkdir()
    with pytest.raises(ImportError, match=r"pluginkit-0\.2\.0.*pip uninstall -y pluginkit"):
        refuse_name_clash(tmp_path)


@pytest.mark.parametrize("is_overwritten", [False, True])
def test_the_command_refuses_too(tmp_path: Path, is_overwritten: bool) -> None:
    (tmp_path / "pluginkit").mkdir()
    for path in (ROOT / "pluginkit").iterdir():
        (tmp_path / "pluginkit" / path.name).symlink_to(path)
    if is_overwritten:  # the other package was installed later
        (tmp_path / "pluginkit" / "__init__.py").unlink()
        (tmp_path / "pluginkit" / "__init__.py").write_text("def hookimpl(): ...\n")
    (tmp_path / "pluginkit-0.2.0.dist-info").mkdir()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import pluginkit.cli.main"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 1
    assert "ImportError: another package named 'pluginkit'" in done.stderr


def test_every_text_names_the_same_versions_of_python() -> None:
    names = "\n".join(PROJECT["classifiers"])
    versions = re.findall(r"Python :: (3\.\d+)", names)
    assert versions[0] == PROJECT["requires-python"].removeprefix(">=")
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert sorted(re.findall(r'"(3\.\d+)"', workflow)) == sorted(versions)
    assert f"Python {versions[0]} to {versions[-1]}" in (ROOT / "README.md").read_text()
    systems = (ROOT / "docs/support.md").read_text().partition("## Systems")[2]
    assert sorted(re.findall(r"^\| [^|]*Python (3\.\d+) \|", systems, re.M)) == sorted(versions)
