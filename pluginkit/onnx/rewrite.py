"""The base class of every rewrite: all that an author must read."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pluginkit.errors import DeclarationError
from pluginkit.onnx.pattern import Match, Op
from pluginkit.plugin import Plugin

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

__all__ = ["Match", "Op", "Rewrite"]


class Rewrite:
    """Replace what TensorRT cannot take: say what to look for, why not, and what to put there.

    A subclass's docstring is the formula, before -> after::

        class ReplaceSilu(Rewrite):
            '''x * sigmoid(x) -> Silu_PK(x)'''

            plugin = Silu
            pattern = Op("Mul", "x", Op("Sigmoid", "x"), commutative=True)

            def rewrite(self, match):
                return match.plugin_node(Silu(), [match["x"]])

    The new nodes take the place of the matched ones. They must produce the outputs of
    ``match.node``, by name; values between the matched nodes must not be needed elsewhere, which
    the driver sees to. Whether the plugin takes the inputs' dtypes and ranks is checked by the
    driver too, and reported as a reason.

    Class members:
        pattern: what to look for; a plain string is any node of that op_type.
        plugin: the plugin class that the new nodes call, whose reference and kernels later steps
            need.

    Errors:
        PK420 when the class is made.
    """

    pattern: ClassVar[Op | str]
    plugin: ClassVar[type[Plugin]]
    op: ClassVar[Op]

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        super().__init_subclass__()
        if not abstract:
            _check_declaration(cls)
            cls.op = Op(cls.pattern) if isinstance(cls.pattern, str) else cls.pattern

    def check(self, match: Match) -> str | None:
        """Why this match cannot or need not be rewritten; None when it can."""
        return None

    def rewrite(self, match: Match) -> gs.Node | Sequence[gs.Node]:
        """The new node, or the new nodes in the order in which they run."""
        raise NotImplementedError


def _check_declaration(cls: type[Rewrite]) -> None:
    def wrong(message: str, fix: str) -> DeclarationError:
        where = f"{inspect.getsourcefile(cls) or cls.__module__}, class {cls.__name__}"
        return DeclarationError("PK420", f"{cls.__name__}: {message}", where=where, fix=fix)

    pattern, plugin = getattr(cls, "pattern", None), getattr(cls, "plugin", None)
    if not isinstance(pattern, Op) and not (isinstance(pattern, str) and pattern):
        raise wrong(
            f"pattern is {pattern!r}; expected an Op or an op_type.",
            'write pattern = "ScatterElements".',
        )
    if not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
        raise wrong(f"plugin is {plugin!r}; expected a Plugin class.", "write plugin = MyPlugin.")
    if cls.rewrite is Rewrite.rewrite:
        raise wrong("has no rewrite().", "define def rewrite(self, match).")
    for method in (cls.check, cls.rewrite):
        names = list(inspect.signature(method).parameters)
        if len(names) != 2:
            raise wrong(
                f"{method.__name__}({', '.join(names)}) takes no match; expected (self, match).",
                f"write def {method.__name__}(self, match).",
            )
    if "->" not in (cls.__doc__ or "").partition("\n")[0]:
        raise wrong(
            "its docstring does not start with a formula; expected 'before -> after'.",
            f'write """{pattern} -> {plugin.__name__}""" first.',
        )
