"""Write the module of a rewrite that replaces an operator by a plugin."""

from __future__ import annotations

from pluginkit.scaffold.onnx_schema import Operator
from pluginkit.scaffold.python_text import WIDTH


def rewrite_text(name: str, home: str, operator: Operator) -> str:
    """Return the text of the module.

    Args:
        name: the plugin's class.
        home: the module of the class, as the rewrite imports it.
        operator: the operator that the plugin implements.
    """
    op_type, domain = operator.op_type, f', domain="{operator.domain}"' if operator.domain else ""
    return f'''"""Replace {op_type} by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import Match, Op, Rewrite

from {home} import {name}

if TYPE_CHECKING:
    from pluginkit.onnx import NewNode


class Replace{name}(Rewrite):
    """{_formula(name, operator)}"""

    plugin = {name}
    pattern = Op("{op_type}"{domain})

{_check(operator)}    def rewrite(self, match: Match) -> NewNode:
        return match.plugin_node({name})
'''


def _formula(name: str, operator: Operator) -> str:
    inputs = ", ".join(port.name for port in operator.inputs)
    formula = f"{operator.op_type}({inputs}) -> {name}_PK(same)."
    fits = len(formula) <= WIDTH - len('    """"""')
    return formula if fits else f"{operator.op_type} -> {name}_PK."


def _check(operator: Operator) -> str:
    """Return a check of the opset, if older versions of the operator have another signature."""
    version = operator.alike_since
    if not operator.since or version <= 1:
        return ""
    return f"""    def check(self, match: Match) -> str | None:
        if match.opset < {version}:
            return f"its opset is {{match.opset}}, before version {version} of the operator"
        return None

"""
