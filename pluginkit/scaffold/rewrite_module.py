"""The rewrite that puts a plugin in an operator's place."""

from __future__ import annotations

from pluginkit.scaffold.onnx_schema import Attribute, Operator
from pluginkit.scaffold.python_text import WIDTH, call


def rewrite_text(name: str, home: str, operator: Operator) -> str:
    """The rewrite's module.

    Args:
        name: the plugin's class.
        home: its module, by the name that a rewrite imports.
        operator: what the plugin implements.
    """
    op_type, domain = operator.op_type, f', domain="{operator.domain}"' if operator.domain else ""
    made = call(f"plugin = {name}(", [_read(one) for one in operator.attributes], ")", " " * 8)
    return f'''"""{op_type} becomes a plugin node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import Match, Op, Rewrite

from {home} import {name}

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class Replace{name}(Rewrite):
    """{_formula(name, operator)}"""

    plugin = {name}
    pattern = Op("{op_type}"{domain})

{_check(name, operator)}    def rewrite(self, match: Match) -> gs.Node:
        """The plugin has the operator's inputs and attributes."""
{made}
        return match.plugin_node(plugin, match.inputs)
'''


def _formula(name: str, operator: Operator) -> str:
    inputs = ", ".join(port.name for port in operator.inputs)
    formula = f"{operator.op_type}({inputs}) -> {name}_PK(same)."
    fits = len(formula) <= WIDTH - len('    """"""')
    return formula if fits else f"{operator.op_type} -> {name}_PK."


def _check(name: str, operator: Operator) -> str:
    if not operator.since:  # nothing is known of its attributes
        return f'''    def check(self, match: Match) -> str | None:
        """No attribute of a node may be lost."""
        declared = {{one.name for one in {name}.spec.attributes}}
        lost = [one.name for one in match.proto.attribute if one.name not in declared]
        return f"{name} has no attribute {{', '.join(lost)}}" if lost else None

'''
    version = operator.alike_since
    if version <= 1:
        return ""
    return f'''    def check(self, match: Match) -> str | None:
        """The operator has had these inputs and attributes since version {version}."""
        if match.opset < {version}:
            return f"its opset is {{match.opset}}, before version {version} of the operator"
        return None

'''


def _read(one: Attribute) -> str:
    """How a rewrite reads the attribute of a node."""
    arguments = [f'"{one.name}"']
    if one.default not in ("", "None"):
        arguments.append(one.default)
    return call(f"{one.name}=match.attribute(", arguments, "),", " " * 12).strip(" ,")
