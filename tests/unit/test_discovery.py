import sys
from importlib import metadata
from pathlib import Path

import pytest

from pluginkit.contract.plugin_names import plugin_named, plugins_named
from pluginkit.discovery import find_plugins
from pluginkit.errors import DeclarationError, PluginkitError, UsageError
from pluginkit.onnx.rewriting.find_rewrites import find_rewrites

PLUGIN = """
from pluginkit import Input, Output, Plugin, float32

class {name}(Plugin):
    x = Input(float32)
    y = Output(float32)
    def output_shapes(self, x): return x.shape
    def launches(self, x, y): return ()
    def reference(self, x): return x
"""
REWRITE = '''
from pluginkit.onnx.rewriting.rewrite import Rewrite
from {package} import {plugin}

class {name}(Rewrite):
    """relu(x) -> {plugin}_PK(x)."""
    plugin = {plugin}
    pattern = "Relu"
    def rewrite(self, match): return match.plugin_node({plugin}(), match.inputs)
'''

pytestmark = pytest.mark.usefixtures("no_modules_of_other_tests")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def names(plugins):
    return {cls.__name__ for cls in plugins.values()}


def test_what_ships_is_found_without_a_list():
    plugins = find_plugins()
    assert {"ScatterElements", "CircPad"} <= names(plugins)
    assert all(cls.spec.key == key for key, cls in plugins.items())
    assert "ReplaceScatterElements" in [rewrite.__name__ for rewrite in find_rewrites()]


def test_the_first_word_of_a_shipped_rewrites_module_says_whether_it_gives_a_plugin():
    gives = {True: set(), False: set()}
    for rewrite in find_rewrites():
        package, _, module = rewrite.__module__.rpartition(".")
        if package == "pluginkit.graph_rewrites":
            gives[rewrite.plugin is not None].add(module.partition("_")[0])
    assert gives[True] == {"fuse", "reduce", "replace"}
    assert "expand" in gives[False]
    assert gives[True] & gives[False] == set()


def test_a_folder_on_the_path_keeps_its_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path / "ops" / "first.py", PLUGIN.format(name="First"))
    write(
        tmp_path / "passes" / "first.py",
        REWRITE.format(package="ops.first", plugin="First", name="R"),
    )
    plugins = find_plugins([tmp_path / "ops"])
    (rewrite,) = (one for one in find_rewrites([tmp_path / "passes"]) if one.__name__ == "R")
    assert rewrite.plugin is plugins["First_PK", "1", "pluginkit"]
    assert rewrite.plugin.__module__ == "ops.first"


def test_every_shipped_module_holds_a_plugin():
    modules = {cls.__module__ for cls in find_plugins().values()}
    folder = Path(sys.modules["pluginkit.plugins"].__path__[0])
    names = {path.parent.name for path in folder.glob("*/__init__.py")}
    shipped = {name for name in names if not name.startswith("_")}  # _cuda is what they share
    assert len(shipped) >= 8
    assert modules == {f"pluginkit.plugins.{name}" for name in shipped}


def test_a_folder_that_is_named_is_walked(tmp_path):
    write(tmp_path / "mine" / "one.py", PLUGIN.format(name="One"))
    write(tmp_path / "mine" / "two" / "__init__.py", "from mine.two.inner import Two\n")
    write(tmp_path / "mine" / "two" / "inner.py", PLUGIN.format(name="Two"))
    write(tmp_path / "mine" / "two" / "broken.py", "raise SystemError")
    write(tmp_path / "mine" / "_private.py", "raise SystemError")
    write(tmp_path / "mine" / "data" / "not_a_package.py", "raise SystemError")
    assert {"One", "Two"} <= names(find_plugins([tmp_path / "mine"]))
    assert {"One", "Two"} <= names(find_plugins(["mine"]))  # the same again, as a relative path


def test_nothing_is_executed_from_a_folder_that_was_not_named(tmp_path):
    write(tmp_path / "plugins" / "bad.py", "raise SystemError('executed')")
    write(tmp_path / "graph_rewrites" / "bad.py", "raise SystemError('executed')")
    assert "ScatterElements" in names(find_plugins())
    assert find_rewrites()


def test_folders_of_one_name_do_not_meet(tmp_path):
    write(tmp_path / "a" / "ops" / "op.py", PLUGIN.format(name="First"))
    write(tmp_path / "b" / "ops" / "op.py", PLUGIN.format(name="Second"))
    found = names(find_plugins([tmp_path / "a" / "ops", tmp_path / "b" / "ops"]))
    assert {"First", "Second"} <= found


def test_a_folder_named_like_a_module_hides_nothing(tmp_path):
    write(tmp_path / "json" / "op.py", PLUGIN.format(name="Op"))
    assert "Op" in names(find_plugins([tmp_path / "json"]))
    import json

    assert json.loads("[1]") == [1]


def test_the_pyproject_of_the_current_folder_names_folders(tmp_path):
    write(
        tmp_path / "pyproject.toml",
        '[tool.pluginkit]\nplugins = ["ops"]\nrewrites = "passes"\n',
    )
    write(tmp_path / "ops" / "mine.py", PLUGIN.format(name="Mine"))
    write(
        tmp_path / "passes" / "use_mine.py",
        REWRITE.format(package="ops.mine", plugin="Mine", name="UseMine"),
    )
    rewrites = {rewrite.__name__: rewrite for rewrite in find_rewrites()}
    assert next(iter(rewrites)) == "UseMine"  # a user's own come before those that ship
    assert rewrites["UseMine"].plugin is find_plugins()["Mine_PK", "1", "pluginkit"]


def test_a_rewrite_imports_the_plugin_of_a_folder_that_was_passed(tmp_path):
    write(tmp_path / "my_plugins" / "mine.py", PLUGIN.format(name="Mine"))
    write(
        tmp_path / "passes" / "use_mine.py",
        REWRITE.format(package="my_plugins.mine", plugin="Mine", name="UseMine"),
    )
    plugins = find_plugins([tmp_path / "my_plugins"])
    rewrites = {rewrite.__name__: rewrite for rewrite in find_rewrites([tmp_path / "passes"])}
    assert rewrites["UseMine"].plugin is plugins["Mine_PK", "1", "pluginkit"]


@pytest.mark.parametrize(
    "content",
    ["[tool.pluginkit]\nplugins = 3\n", "[tool.pluginkit\n", "[tool.pluginkit]\nplugins = [1]"],
)
def test_a_wrong_pyproject_is_an_error(tmp_path, content):
    write(tmp_path / "pyproject.toml", content)
    with pytest.raises(UsageError) as caught:
        find_plugins()
    assert caught.value.code == "PK432"
    assert "pyproject.toml" in caught.value.where


@pytest.mark.parametrize(
    ("key", "fix"), [("plugin", "did you mean 'plugins'?"), ("colour", "remove it.")]
)
def test_a_misspelt_key_is_an_error(tmp_path, key, fix):
    write(tmp_path / "pyproject.toml", f'[tool.pluginkit]\n{key} = ["ops"]\n')
    with pytest.raises(UsageError, match=f"PK432 tool.pluginkit.{key} means nothing") as caught:
        find_plugins()
    assert caught.value.fix == fix


def test_a_pyproject_of_something_else_says_nothing(tmp_path):
    write(tmp_path / "pyproject.toml", "[project]\nname = 'x'\n")
    assert "ScatterElements" in names(find_plugins())


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(UsageError) as caught:
        find_plugins([tmp_path / "nowhere"])
    assert caught.value.code == "PK432"
    assert str(tmp_path / "nowhere") in caught.value.where
    write(tmp_path / "scale.py", "")
    with pytest.raises(UsageError, match=r"PK432 folder 'scale.py' is a file; expected a folder"):
        find_plugins([tmp_path / "scale.py"])


def test_entry_points_are_loaded(tmp_path, monkeypatch):
    write(tmp_path / "path" / "their_ops.py", PLUGIN.format(name="Theirs"))
    monkeypatch.syspath_prepend(tmp_path / "path")
    entry = metadata.EntryPoint("theirs", "their_ops", "pluginkit.plugins")
    monkeypatch.setattr(
        metadata, "entry_points", lambda *, group: [entry] if group == entry.group else []
    )
    assert "Theirs" in names(find_plugins())


@pytest.mark.parametrize(
    ("content", "line"),
    [("import no_such_module\n", 1), ("x = 1\ny = x / 0\n", 2), ("def broken(:\n", 1)],
)
def test_a_module_that_fails_names_file_and_cause(tmp_path, content, line):
    file = write(tmp_path / "mine" / "bad.py", content)
    with pytest.raises(DeclarationError) as caught:
        find_plugins([tmp_path / "mine"])
    assert caught.value.code == "PK430"
    assert caught.value.where == f"{file}:{line}"
    assert type(caught.value.__cause__).__name__ in caught.value.message


def test_a_wrong_declaration_comes_through_with_its_own_line(tmp_path):
    file = write(
        tmp_path / "mine" / "bad.py", PLUGIN.format(name="Bad").replace("float32)", '"Q")')
    )
    with pytest.raises(PluginkitError) as caught:
        find_plugins([tmp_path / "mine"])
    assert caught.value.code == "PK103"
    assert str(file) in caught.value.where


def test_two_plugins_of_one_key_are_both_named(tmp_path):
    one = write(tmp_path / "mine" / "one.py", PLUGIN.format(name="Same"))
    two = write(tmp_path / "mine" / "two.py", PLUGIN.format(name="Same"))
    with pytest.raises(DeclarationError) as caught:
        find_plugins([tmp_path / "mine"])
    assert caught.value.code == "PK431"
    assert str(one) in caught.value.where
    assert str(two) in caught.value.where


def test_two_rewrites_of_one_name_are_both_named(tmp_path):
    write(tmp_path / "my_plugins" / "mine.py", PLUGIN.format(name="Mine"))
    find_plugins([tmp_path / "my_plugins"])
    for name in ("one", "two"):
        write(
            tmp_path / "passes" / f"{name}.py",
            REWRITE.format(package="my_plugins.mine", plugin="Mine", name="Twin"),
        )
    with pytest.raises(DeclarationError) as caught:
        find_rewrites([tmp_path / "passes"])
    assert caught.value.code == "PK431"


def test_what_a_module_imports_is_not_its_own(tmp_path):
    write(
        tmp_path / "mine" / "uses.py",
        "from pluginkit.plugins.circ_pad import CircPad\n" + PLUGIN.format(name="Uses"),
    )
    plugins = find_plugins([tmp_path / "mine"])
    assert plugins["CircPad_PK", "1", "pluginkit"].__module__ == "pluginkit.plugins.circ_pad"


@pytest.mark.parametrize(
    "text",
    [
        "tool = 5",
        "[tool]\npluginkit = 'x'",
        "x = " + "[" * 100_000,
        "[tool.pluginkit]\nplugins = 5",
    ],
)
def test_a_pyproject_of_another_shape_is_no_traceback(text):
    write(Path("pyproject.toml"), text)
    try:
        assert find_plugins()
    except UsageError as error:
        assert error.code == "PK432"  # noqa: PT017  # both ends are right, a traceback is not


@pytest.mark.parametrize("name", ["a" * 300, "nul\0", "loop"])
def test_a_folder_name_that_cannot_be_is_refused(name):
    Path("loop").symlink_to("loop")
    with pytest.raises(UsageError, match="PK432"):
        find_plugins([name])


@pytest.mark.parametrize(
    "name", ["CircPad", "circpad", "CIRCPAD_PK", "CircPad_PK", "pluginkit::CircPad_PK"]
)
def test_a_plugin_has_several_names_in_any_case(name):
    assert plugin_named(name, find_plugins()).__name__ == "CircPad"


def test_an_unknown_plugin_names_the_nearest():
    plugins = find_plugins()
    assert plugins_named("CirkPad", plugins) == []
    with pytest.raises(UsageError, match="PK611 there is no plugin 'cirkpad'.*CircPad") as caught:
        plugin_named("cirkpad", plugins)
    assert caught.value.fix == "did you mean 'CircPad'?"


def test_two_plugins_of_one_name_are_told_apart_by_their_namespace():
    (key, circ_pad), *_ = [each for each in find_plugins().items() if each[0][0] == "CircPad_PK"]
    plugins = {key: circ_pad, ("CircPad_PK", "1", "mine"): circ_pad}
    with pytest.raises(UsageError, match="PK611 'CircPad' is the name of 2 plugins"):
        plugin_named("CircPad", plugins)
    assert plugin_named("mine::CircPad_PK", plugins) is circ_pad


def test_a_broken_module_is_left_out_where_the_caller_takes_its_error(tmp_path):
    write(tmp_path / "mixed" / "good.py", PLUGIN.format(name="Good"))
    write(tmp_path / "mixed" / "absent.py", "import no_such_package_anywhere")
    write(
        tmp_path / "mixed" / "declared.py",
        PLUGIN.format(name="Bad").replace("x = Input", "z = Input"),
    )
    with pytest.raises(DeclarationError):
        find_plugins([tmp_path / "mixed"])
    broken = []
    found = find_plugins([tmp_path / "mixed"], broken)
    assert {"Good", "ScatterElements"} <= names(found)
    assert "Bad" not in names(found)
    assert [error.code for error in broken] == ["PK430", "PK105"]
