"""List the plugins and rewrites that are installed, or in the folders that are named."""

from __future__ import annotations

import argparse

from pluginkit.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    options.add_discovery(parser)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """List plugins and rewrites."""
    from pluginkit.cli.found_classes import plugins_of, rewrites_of
    from pluginkit.cli.terminal_output import print_json, print_line, print_table

    plugins = [
        {
            "name": cls.__name__,
            "plugin": cls.spec.plugin_name,
            "version": cls.spec.plugin_version,
            "namespace": cls.spec.plugin_namespace,
            "summary": cls.spec.doc.partition("\n")[0],
        }
        for cls in plugins_of(args).values()
    ]
    rewrites = [
        {
            "name": cls.__name__,
            "plugin": cls.plugin.spec.plugin_name if cls.plugin else None,
            "opt_in": cls.opt_in,
            "summary": (cls.__doc__ or "").strip().partition("\n")[0],
        }
        for cls in rewrites_of(args)
    ]
    if args.json:
        print_json({"plugins": plugins, "rewrites": rewrites})
        return 0
    rows = [
        (one["name"], f"{one['plugin']} {one['version']} ({one['namespace']})", one["summary"])
        for one in plugins
    ]
    print_table("Plugins" if rows else "No plugins", ("name", "registered as", "summary"), rows)
    rows = [
        (
            f"{one['name']} (opt-in)" if one["opt_in"] else str(one["name"]),
            str(one["plugin"] or ""),
            str(one["summary"]),
        )
        for one in rewrites
    ]
    print_table("Rewrites" if rows else "No rewrites", ("name", "plugin", "summary"), rows)
    if any(one["opt_in"] for one in rewrites):
        print_line("An opt-in rewrite is applied where --with, or --only, names it.")
    return 0
