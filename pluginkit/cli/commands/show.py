"""Show a plugin's attributes, inputs, outputs, types and kernels, or a rewrite's formula."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pluginkit.cli import options

if TYPE_CHECKING:
    from pluginkit.contract.launches import Kernel
    from pluginkit.contract.plugin import Plugin
    from pluginkit.contract.spec import Port
    from pluginkit.onnx.rewriting.rewrite import Rewrite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("name", help="a plugin's class or plugin_name, or a rewrite, in any case")
    options.add_discovery(parser)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Show plugins and rewrites of one name."""
    from pluginkit.cli.found_classes import plugins_of, rewrites_of
    from pluginkit.cli.terminal_output import print_json
    from pluginkit.contract.plugin_names import plugins_named, unknown_name

    plugins, rewrites = plugins_of(args), rewrites_of(args)
    found_plugins = plugins_named(args.name, plugins)
    found_rewrites = [one for one in rewrites if one.__name__.lower() == args.name.lower()]
    if not found_plugins and not found_rewrites:
        names = [one.__name__ for one in (*plugins.values(), *rewrites)]
        raise unknown_name("plugin or rewrite", args.name, names)
    if args.json:
        print_json(
            {
                "plugins": [_plugin_document(one) for one in found_plugins],
                "rewrites": [_rewrite_document(one) for one in found_rewrites],
            }
        )
        return 0
    for plugin in found_plugins:
        _print_plugin(_plugin_document(plugin))
    for rewrite in found_rewrites:
        _print_rewrite(_rewrite_document(rewrite))
    return 0


def _plugin_document(cls: type[Plugin]) -> dict[str, Any]:
    spec = cls.spec
    return {
        "name": spec.name,
        "plugin": spec.plugin_name,
        "version": spec.plugin_version,
        "namespace": spec.plugin_namespace,
        "onnx_op": None
        if spec.onnx_op is None
        else f"{spec.onnx_op.domain or 'ai.onnx'}::{spec.onnx_op.op_type}-{spec.onnx_op.since}",
        "module": spec.module,
        "doc": spec.doc,
        "attributes": [
            {
                "name": one.name,
                "type": one.type_name,
                "default": "required" if one.is_required else repr(one.default),
                "doc": one.doc,
            }
            for one in spec.attributes
        ],
        "inputs": _ports(spec.inputs),
        "outputs": _ports(spec.outputs),
        "tactics": list(spec.tactics),
        "interface": "IPluginV3 only: " + spec.needs_v3 if spec.needs_v3 else "either",
        "kernels": {name: _kernel(kernel) for name, kernel in spec.kernels.items()},
        "tolerance": {dtype.name: value for dtype, value in cls.tolerance.items()},
    }


def _ports(ports: Sequence[Port]) -> list[dict[str, Any]]:
    return [
        {
            "name": port.name,
            "type": port.variable or "",
            "dtypes": [dtype.name for dtype in port.dtypes],
            "ranks": list(port.ranks),
            "shape": None if port.shape is None else str(port.shape),
            "optional": port.optional,
            "kind": _kind(port),
            "doc": port.doc,
        }
        for port in ports
    ]


def _kind(port: Port) -> str:
    if port.aliases:
        return f"aliases {port.aliases}"
    if port.like:
        return f"like {port.like}"
    if port.is_size:
        return "size"
    return "tensor" if port.is_on_device else f"shape, {port.length} values"


def _kernel(kernel: Kernel) -> dict[str, Any]:
    return {
        "kind": type(kernel).__name__,
        "function": kernel.name,
        "file": None if kernel.path is None else kernel.path,
    }


def _rewrite_document(cls: type[Rewrite]) -> dict[str, Any]:
    doc = inspect.cleandoc(cls.__doc__ or "")
    return {
        "name": cls.__name__,
        "formula": doc.partition("\n")[0],
        "doc": doc,
        "pattern": repr(cls.op),
        "plugin": cls.plugin.spec.plugin_name if cls.plugin else None,
        "native_since": dict(cls.native_since),
        "order": cls.order,
        "opt_in": cls.opt_in,
        "module": cls.__module__,
    }


def _print_plugin(document: dict[str, Any]) -> None:
    from pluginkit.cli.terminal_output import print_line, print_table

    print_line(
        f"{document['name']}: plugin {document['plugin']}, version {document['version']}, "
        f"namespace '{document['namespace']}', in {document['module']}"
    )
    if document["onnx_op"]:
        print_line(f"Implements {document['onnx_op']}.")
    for line in document["doc"].split("\n"):
        print_line(f"  {line}".rstrip())
    if document["attributes"]:
        print_table(
            "Attributes",
            ("attribute", "type", "default", ""),
            [list(one.values()) for one in document["attributes"]],
        )
    for title in ("inputs", "outputs"):
        rows = [
            (
                one["name"]
                + (" (optional)" if one["optional"] else "")
                + ("" if one["kind"] == "tensor" else f" ({one['kind']})"),
                one["type"],
                ", ".join(one["dtypes"]),
                one["shape"] or "{} to {}".format(*one["ranks"]),
                one["doc"],
            )
            for one in document[title]
        ]
        print_table(title.capitalize(), ("name", "type", "dtypes", "shape or rank", ""), rows)
    if document["kernels"]:
        kernels = [
            (name, one["kind"], one["function"], one["file"] or "inline")
            for name, one in document["kernels"].items()
        ]
        print_table("Kernels", ("kernel", "kind", "function", "file"), kernels)


def _print_rewrite(document: dict[str, Any]) -> None:
    from pluginkit.cli.terminal_output import print_line

    print_line(f"{document['name']}: a rewrite, in {document['module']}")
    for line in document["doc"].split("\n"):
        print_line(f"  {line}".rstrip())
    gives = f", gives plugin {document['plugin']}" if document["plugin"] else ""
    print_line(f"  Looks for {document['pattern']}{gives}.")
    for flavour, version in document["native_since"].items():
        print_line(f"  Not needed from {flavour} {version} on.")
    if document["opt_in"]:
        print_line(f"  Opt-in: --with {document['name']} applies it.")
