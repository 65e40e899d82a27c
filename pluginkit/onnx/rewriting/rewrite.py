"""The base class of every rewrite: all that an author must read."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

import onnx

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import DeclarationError
from pluginkit.onnx.rewriting.match import Match
from pluginkit.onnx.rewriting.new_nodes import NewNode
from pluginkit.onnx.rewriting.pattern import AnyOf, Constant, Op, Optional
from pluginkit.onnx.rewriting.replacement import Replacement
from pluginkit.trt.flavour import FLAVOURS, numbers

__all__ = ["AnyOf", "Constant", "Match", "Op", "Optional", "Replacement", "Rewrite"]


class Rewrite:
    """Replace what TensorRT cannot take: say what to look for, why not, and what to put there.

    A subclass's docstring is the formula, before -> after::

        class ReplaceSilu(Rewrite):
            '''x * sigmoid(x) -> Silu_PK(x)'''

            plugin = Silu
            pattern = Op("Mul", "x", Op("Sigmoid", "x"), commutative=True)

            def rewrite(self, match):
                return match.plugin_node(Silu(), [match["x"]])

    Where TensorRT takes other nodes of ONNX's own instead, there is no plugin, and a Replacement
    collects the nodes::

        class ReplaceSwish(Rewrite):
            '''Swish(x) -> x * Sigmoid(x)'''

            pattern = "Swish"

            def rewrite(self, match):
                new = Replacement(match)
                return new.end("Mul", match.inputs[0], new.add("Sigmoid", match.inputs[0]))

    The new nodes take the place of the matched ones. They must produce the outputs of
    ``match.node``, and those of each ``Op(..., kept=True)``, by name; other values between the
    matched nodes must not be needed elsewhere, which the driver sees to. Whether a plugin takes the
    inputs' dtypes and ranks is checked by the driver too, and reported as a reason.

    Class members:
        pattern: what to look for; a plain string is any node of that op_type.
        plugin: the plugin class that the new nodes call, whose reference and kernels later steps
            need; None where they are ONNX's own.
        native_since: for each TensorRT flavour that takes the matched nodes as they are, its first
            version that does; for that and later ones the rewrite is retired.
        input_types: ``onnx.TensorProto`` data types; given any, only nodes that are known to read a
            tensor of one of them are looked at. For rewrites of common operators, which would have
            to refuse nearly every node of a model.
        order: rewrites run in ascending order; one with a higher number only sees what those with
            lower numbers leave.
        opt_in: whether the rewrite is applied only where it is named, with ``--with NAME`` or
            ``also=["NAME"]``. For nodes that TensorRT takes by itself: a plugin in their place is a
            choice, since TensorRT fuses nothing across it and needs it at run time.

    Errors:
        PK420 when the class is made.
    """

    pattern: ClassVar[Op | str]
    plugin: ClassVar[type[Plugin] | None] = None
    native_since: ClassVar[Mapping[str, str]] = {}
    input_types: ClassVar[Collection[int]] = ()
    order: ClassVar[int] = 0
    opt_in: ClassVar[bool] = False
    op: ClassVar[Op]

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        super().__init_subclass__()
        if not abstract:
            _check_declaration(cls)
            cls.op = Op(cls.pattern) if isinstance(cls.pattern, str) else cls.pattern

    def check(self, match: Match) -> str | None:
        """Why this match cannot or need not be rewritten; None when it can."""
        return None

    def rewrite(self, match: Match) -> NewNode | Sequence[NewNode]:
        """The new node, or the new nodes in the order in which they run.

        They are onnx_graphsurgeon Nodes, or NodeProtos where they come from ONNX itself.
        """
        raise NotImplementedError


def _check_declaration(cls: type[Rewrite]) -> None:
    def wrong(message: str, fix: str) -> DeclarationError:
        where = f"{inspect.getsourcefile(cls) or cls.__module__}, class {cls.__name__}"
        return DeclarationError("PK420", f"{cls.__name__}: {message}", where=where, fix=fix)

    pattern, plugin = getattr(cls, "pattern", None), cls.plugin
    if not isinstance(pattern, Op) and not (isinstance(pattern, str) and pattern):
        raise wrong(
            f"pattern is {pattern!r}; expected an Op or an op_type.",
            'write pattern = "ScatterElements".',
        )
    if plugin is not None and not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
        raise wrong(f"plugin is {plugin!r}; expected a Plugin class.", "write plugin = MyPlugin.")
    if not isinstance(cls.native_since, Mapping) or not all(
        flavour in FLAVOURS and isinstance(version, str) and numbers(version)
        for flavour, version in cls.native_since.items()
    ):
        raise wrong(
            f"native_since is {cls.native_since!r}; expected versions by TensorRT flavour.",
            'write native_since = {"tensorrt": "11.2"}.',
        )
    known_types = onnx.TensorProto.DataType.values()
    if not isinstance(cls.input_types, Collection) or not set(cls.input_types) <= set(known_types):
        raise wrong(
            f"input_types is {cls.input_types!r}; expected data types of onnx.TensorProto.",
            "write input_types = (onnx.TensorProto.UINT8,).",
        )
    if not isinstance(cls.order, int):
        raise wrong(f"order is {cls.order!r}; expected an int.", "write order = 1.")
    if not isinstance(cls.opt_in, bool):
        raise wrong(f"opt_in is {cls.opt_in!r}; expected a bool.", "write opt_in = True.")
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
            f'write """{pattern} -> {plugin.__name__ if plugin else "..."}""" first.',
        )
