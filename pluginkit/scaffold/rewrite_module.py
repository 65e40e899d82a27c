"""Generate the rewrite that replaces an operator by a plugin."""

from __future__ import annotations

from pluginkit.scaffold.fill_template import fill_template
from pluginkit.scaffold.operator_declaration import Operator


def rewrite_text(name: str, home: str, operator: Operator) -> str:
    """Return the text of the module.

    Args:
        name: the plugin's class.
        home: the module of the class, as the rewrite imports it.
        operator: the operator that the plugin implements.
    """
    domain = f', domain="{operator.domain}"' if operator.domain else ""
    return fill_template(
        "rewrite.py",
        name=name,
        home=home,
        op_type=operator.op_type,
        pattern=f'"{operator.op_type}"{domain}',
        check=_check(operator),
    )


def _check(operator: Operator) -> str:
    """Return a check of the opset, if older versions of the operator have another signature."""
    version = operator.alike_since
    if not operator.since or version <= 1:
        return ""
    return fill_template("rewrite_check_version.py", version=version)
