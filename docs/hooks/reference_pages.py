"""Pages of the site that are made from the code, and pages that live outside docs/.

MkDocs calls ``on_files`` and ``on_page_markdown``. Commands, checks, rewrites and plugins come from
the command line itself, so that a page cannot say anything else than ``pluginkit show``.
"""

import contextlib
import importlib
import inspect
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from draw_charts import chart_of, reports, typical_workloads
from draw_parts import diagram_svg
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from model_uses import uses
from operator_pages import cell, markdown, plugin_page, rewrite_page

from pluginkit.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]
#: Pages of the repository that the site shows as well, under their own paths.
OUTSIDE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    "benchmarks/coverage.md",
    "benchmarks/exports.md",
    "examples/README.md",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path in OUTSIDE:
        files.append(File.generated(config, path, content=(ROOT / path).read_text()))
    files.append(File.generated(config, "parts.svg", content=diagram_svg()))
    for path, text in reference_pages():
        files.append(File.generated(config, f"reference/{path}", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that leave docs/ at the page that the site has of the file.

    A link to a file that the site does not hold becomes the file's name. The diagram of parts,
    which forges draw with a script from elsewhere, becomes a picture.
    """
    picture = "![Which part of pluginkit imports which](parts.svg)"
    markdown = re.sub(r"```mermaid\n.*?```", picture, markdown, flags=re.DOTALL)
    folder = Path(page.file.src_uri).parent
    origin = ROOT / folder if page.file.src_uri in OUTSIDE else ROOT / "docs" / folder

    def replaced(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        path = (origin / target).resolve()
        if not path.is_relative_to(ROOT) or not path.exists():
            return link[0]
        for base in (ROOT / "docs", ROOT):
            if path.is_relative_to(base):
                uri = str(path.relative_to(base))
                if files.get_file_from_path(uri):
                    return f"[{text}]({_relative(uri, folder)}{anchor})"
        return f"{text} (`{path.relative_to(ROOT)}`)" if text != str(target) else f"`{text}`"

    return re.sub(r"\[([^\]]*)\]\(((?!\w+:)[^)#\s]+)(#[^)]*)?\)", replaced, markdown)


def _relative(uri: str, folder: Path) -> str:
    return "/".join([*[".."] * len(folder.parts), uri])


def reference_pages() -> Iterator[tuple[str, str]]:
    """Yield each file's path below reference/ and its text: pages, and charts for them."""
    yield "api.md", _api_page()
    yield "commands.md", _commands_page()
    yield "checks.md", _checks_page()
    listed, needed, measured = _json_of("list"), uses(), reports()
    yield "rewrites/index.md", _rewrites_page(listed["rewrites"])
    for one in listed["rewrites"]:
        (document,) = _json_of("show", one["name"])["rewrites"]
        yield f"rewrites/{one['name']}.md", rewrite_page(document, needed.get(one["name"], {}))
    rows = ["| plugin | what it does |", "| --- | --- |"]
    for one in listed["plugins"]:
        name = one["name"]
        rows.append(f"| [{name}]({name}.md) | {cell(one['summary'])} |")
        (document,) = _json_of("show", name)["plugins"]
        report = measured.get(name)
        if report is not None:
            yield f"plugins/{name}.svg", chart_of(report, typical_workloads(report))
        yield f"plugins/{name}.md", plugin_page(document, report, needed.get(one["plugin"], {}))
    yield "plugins/index.md", _page("Plugins that ship", *rows)


def _page(title: str, *lines: str) -> str:
    return "\n".join([f"# {title}", "", *lines, ""])


def _json_of(*command: str) -> Any:
    return json.loads(_output_of(*command, "--json"))


def _output_of(*command: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(command)
    if code != 0:
        raise RuntimeError(f"pluginkit {' '.join(command)} ended with {code}")
    return out.getvalue()


def _api_page() -> str:
    lines: list[str] = []
    for module in ("pluginkit", "pluginkit.onnx", "pluginkit.testing"):
        imported = importlib.import_module(module)
        lines += [f"## {module}", "", markdown(inspect.getdoc(imported) or ""), ""]
        lines += [f"::: {module}.{name}" for name in imported.__all__]
        lines.append("")
    return _page("Python API", *lines)


def _commands_page() -> str:
    lines: list[str] = []
    for name in COMMANDS:
        lines += [f"## pluginkit {name}", "", "```text", _output_of(name, "--help").rstrip()]
        lines += ["```", ""]
    return _page("Commands", *lines)


def _checks_page() -> str:
    lines = ["`pluginkit check NAME` runs these in order; `--only` chooses some.", ""]
    for name, doc in _json_of("check", "--list").items():
        lines += [f"## {name}", "", markdown(doc), ""]
    return _page("Checks of a plugin", *lines)


def _rewrites_page(listed: list[dict[str, Any]]) -> str:
    lines = ["| rewrite | what it does | plugin |", "| --- | --- | --- |"]
    for one in listed:
        target = (one["plugin"] or "").removesuffix("_PK")
        plugin = f"[{target}](../plugins/{target}.md)" if target else ""
        opt_in = " (opt-in)" if one["opt_in"] else ""
        lines.append(
            f"| [{one['name']}]({one['name']}.md){opt_in} | {cell(one['summary'])} | {plugin} |"
        )
    return _page("Rewrites that ship", *lines)
